//! Reading a part of a list from a database, of which a bounded number of rows is looked at.

/// How many rows of a list are read at once.
pub const STEP: usize = 100;
/// How many bytes of a list are read, as far as rows can be large: a page that is larger could not be
/// sent anyway.
const MOST_BYTES: usize = 4 * 1024 * 1024;

/// How many items, and how many bytes of them, are passed over for one part of a list because nobody asked
/// for them.
const MOST_PASSED: usize = 2_000;
const MOST_BYTES_PASSED: usize = 32 * 1024 * 1024;

/// A part of a list.
#[derive(Debug, Clone, PartialEq)]
pub struct Listing<T> {
    /// What it holds, in order.
    pub items: Vec<T>,
    /// Whether there are more after these.
    pub more: bool,
}

/// A part of a list while it is read, step by step.
#[derive(Debug)]
pub struct Reading<T> {
    items: Vec<T>,
    bytes: usize,
    limit: usize,
    passed: usize,
    bytes_passed: usize,
}

impl<T> Reading<T> {
    /// Nothing yet, of at most so many items.
    pub const fn new(limit: usize) -> Self {
        Self {
            items: Vec::new(),
            bytes: 0,
            limit,
            passed: 0,
            bytes_passed: 0,
        }
    }

    /// How many rows to read next: at most one more than there is room for, which tells that there are
    /// more.
    pub fn step(&self) -> usize {
        STEP.min(self.limit + 1 - self.items.len())
    }

    /// Whether there is no room for another item.
    pub const fn is_full(&self) -> bool {
        self.items.len() == self.limit || self.bytes > MOST_BYTES
    }

    /// Takes an item of about so many bytes.
    pub fn push(&mut self, item: T, bytes: usize) {
        self.items.push(item);
        self.bytes += bytes;
    }

    /// Passes an item over. True if that is enough for one part.
    pub const fn pass(&mut self, bytes: usize) -> bool {
        self.passed += 1;
        self.bytes_passed += bytes;
        self.passed >= MOST_PASSED || self.bytes_passed > MOST_BYTES_PASSED
    }

    /// What was read, and whether there is more after it.
    pub fn end(self, more: bool) -> Listing<T> {
        Listing {
            items: self.items,
            more,
        }
    }
}
