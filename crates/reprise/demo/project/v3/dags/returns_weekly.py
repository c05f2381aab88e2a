"""How often each article of the shop comes back, once a week."""

import csv
from collections import Counter
from datetime import timedelta
from pathlib import Path

import pendulum
from airflow.sdk import dag, task

RETURNS = Path(__file__).with_name("returns.csv")


@dag(
    schedule="@weekly",
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    catchup=False,
    default_args={"retries": 2, "retry_delay": timedelta(minutes=5)},
    doc_md=__doc__,
    tags=["shop"],
)
def returns_weekly():
    @task
    def extract() -> list[str]:
        with RETURNS.open(newline="") as file:
            return [row["article"] for row in csv.DictReader(file)]

    @task
    def report(articles: list[str]) -> None:
        for article, count in sorted(Counter(articles).items()):
            print(f"{article}: {count}")

    report(extract())


returns_weekly()
