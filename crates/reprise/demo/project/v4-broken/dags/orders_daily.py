"""The revenue of the shop by country in euros, once a day. Amounts are in cents."""

import csv
from collections import Counter
from datetime import timedelta
from pathlib import Path

import pendulum
from airflow.sdk import dag, task
from currency_converter import CurrencyConverter

ORDERS = Path(__file__).with_name("orders.csv")


@dag(
    schedule="@daily",
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    catchup=False,
    default_args={"retries": 2, "retry_delay": timedelta(minutes=5)},
    doc_md=__doc__,
    tags=["shop"],
)
def orders_daily():
    @task
    def extract() -> list[dict]:
        with ORDERS.open(newline="") as file:
            return [{**row, "cents": int(row["cents"])} for row in csv.DictReader(file)]

    @task
    def check_quality(orders: list[dict]) -> list[dict]:
        numbers = Counter(order["number"] for order in orders)
        problems = [f"order {number} is there {n} times" for number, n in numbers.items() if n > 1]
        problems += [f"order {o['number']} has no amount" for o in orders if o["cents"] <= 0]
        if not orders:
            problems.append("there are no orders")
        if problems:
            raise ValueError("; ".join(problems))
        return orders

    @task
    def sum_up(orders: list[dict]) -> dict[str, int]:
        convert = CurrencyConverter().convert
        revenue = Counter()
        for order in orders:
            revenue[order["country"]] += round(convert(order["cents"], order["currency"], "EUR"))
        return dict(revenue)

    @task
    def report(revenue: dict[str, int]) -> None:
        for country, cents in sorted(revenue.items()):
            print(f"{country}: {cents / 100:.2f} EUR")

    report(sum_up(check_quality(extract())))


orders_daily()
