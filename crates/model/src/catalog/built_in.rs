//! The catalog as data. Source: the Astro Runtime catalog and the release notes of Astro Runtime.

use std::collections::BTreeMap;

use super::{Catalog, Restriction, Row};
use crate::runtime::{AirflowRelease, RuntimeRelease};

type Range = (RuntimeRelease, RuntimeRelease);

const fn old(first: (u32, u32, u32), last: (u32, u32, u32)) -> Range {
    (
        RuntimeRelease::old(first.0, first.1, first.2),
        RuntimeRelease::old(last.0, last.1, last.2),
    )
}

const fn new(series: (u32, u32), first: u32, last: u32) -> Range {
    (
        RuntimeRelease::new(series.0, series.1, first),
        RuntimeRelease::new(series.0, series.1, last),
    )
}

const fn airflow(major: u32, minor: u32, patch: u32) -> AirflowRelease {
    AirflowRelease::new(major, minor, patch)
}

/// Each from the first to the last Runtime version. What lies between two rows is not known.
const ROWS: &[(Range, AirflowRelease)] = &[
    (old((5, 0, 0), (5, 0, 1)), airflow(2, 3, 0)),
    (old((5, 0, 2), (5, 0, 2)), airflow(2, 3, 1)),
    (old((5, 0, 3), (5, 0, 5)), airflow(2, 3, 2)),
    (old((5, 0, 6), (5, 0, 7)), airflow(2, 3, 3)),
    (old((5, 0, 8), (5, 5, 0)), airflow(2, 3, 4)),
    (old((6, 0, 0), (6, 0, 1)), airflow(2, 4, 0)),
    (old((6, 0, 2), (6, 0, 2)), airflow(2, 4, 1)),
    (old((6, 0, 3), (6, 0, 3)), airflow(2, 4, 2)),
    (old((6, 0, 4), (6, 10, 0)), airflow(2, 4, 3)),
    (old((7, 0, 0), (7, 1, 0)), airflow(2, 5, 0)),
    (old((7, 2, 0), (7, 3, 0)), airflow(2, 5, 1)),
    (old((7, 4, 0), (7, 4, 1)), airflow(2, 5, 2)),
    (old((7, 4, 2), (7, 6, 0)), airflow(2, 5, 3)),
    (old((8, 0, 0), (8, 1, 0)), airflow(2, 6, 0)),
    (old((8, 2, 0), (8, 4, 0)), airflow(2, 6, 1)),
    (old((8, 5, 0), (8, 6, 0)), airflow(2, 6, 2)),
    (old((8, 7, 0), (8, 10, 0)), airflow(2, 6, 3)),
    (old((9, 0, 0), (9, 0, 0)), airflow(2, 7, 0)),
    (old((9, 1, 0), (9, 1, 0)), airflow(2, 7, 1)),
    (old((9, 2, 0), (9, 4, 0)), airflow(2, 7, 2)),
    (old((9, 5, 0), (9, 17, 0)), airflow(2, 7, 3)),
    (old((10, 0, 0), (10, 1, 0)), airflow(2, 8, 0)),
    (old((10, 2, 0), (10, 3, 0)), airflow(2, 8, 1)),
    (old((10, 4, 0), (10, 4, 0)), airflow(2, 8, 2)),
    (old((10, 5, 0), (10, 5, 0)), airflow(2, 8, 3)),
    (old((10, 6, 0), (10, 9, 0)), airflow(2, 8, 4)),
    (old((11, 0, 0), (11, 2, 0)), airflow(2, 9, 0)),
    (old((11, 3, 0), (11, 4, 0)), airflow(2, 9, 1)),
    (old((11, 5, 0), (11, 6, 0)), airflow(2, 9, 2)),
    (old((11, 7, 0), (11, 12, 0)), airflow(2, 9, 3)),
    (old((12, 0, 0), (12, 0, 0)), airflow(2, 10, 0)),
    (old((12, 12, 0), (12, 12, 0)), airflow(2, 10, 5)),
    (old((13, 0, 0), (13, 0, 0)), airflow(2, 11, 0)),
    (old((13, 5, 0), (13, 5, 0)), airflow(2, 11, 1)),
    (old((13, 9, 0), (13, 11, 0)), airflow(2, 11, 2)),
    (new((3, 0), 1, 1), airflow(3, 0, 0)),
    (new((3, 0), 2, 3), airflow(3, 0, 1)),
    (new((3, 0), 10, 18), airflow(3, 0, 6)),
    (new((3, 1), 2, 2), airflow(3, 1, 0)),
    (new((3, 1), 8, 8), airflow(3, 1, 4)),
    (new((3, 1), 9, 9), airflow(3, 1, 5)),
    (new((3, 1), 17, 17), airflow(3, 1, 8)),
    (new((3, 1), 21, 21), airflow(3, 1, 8)),
    (new((3, 2), 1, 2), airflow(3, 2, 0)),
    (new((3, 2), 10, 10), airflow(3, 2, 2)),
    (new((3, 3), 1, 2), airflow(3, 3, 0)),
    (new((3, 3), 7, 7), airflow(3, 3, 1)),
    (new((3, 3), 8, 8), airflow(3, 3, 2)),
];

/// Taken back by the vendor ("yanked").
const RESTRICTED: &[Range] = &[
    old((8, 0, 0), (8, 0, 0)),
    old((9, 0, 0), (9, 6, 0)),
    old((11, 0, 0), (11, 1, 0)),
    old((13, 5, 0), (13, 5, 0)),
    new((3, 1), 8, 8),
    new((3, 2), 1, 1),
];

/// The reason where none is on record.
pub(super) const YANKED: &str = "yanked by the vendor";

pub(super) fn catalog() -> Catalog {
    let rows = ROWS.iter().map(|((first, last), airflow)| {
        let overlaps = |range: &&Range| range.0 <= *last && range.1 >= *first;
        let restricted = RESTRICTED
            .iter()
            .filter(overlaps)
            .map(|(first, last)| Restriction {
                first: *first,
                last: *last,
                reason: YANKED.into(),
            })
            .collect();
        (
            *first,
            Row {
                last: *last,
                airflow: (*airflow).into(),
                restricted,
            },
        )
    });
    Catalog {
        rows: rows.collect::<BTreeMap<_, _>>(),
        skipped: Vec::new(),
    }
}
