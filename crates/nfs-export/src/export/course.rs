//! Whether reading a directory on leads anywhere. The server says where each page starts, so it could lead a reader round for ever: servers
//! whose cookies collide do.

use super::stat::Page;

/// Pages in a row that may hold nothing but `.` and `..`: a server may hide what it has.
const EMPTY_MAX: u32 = 64;

/// The way through one directory, from cookie 0 on. Holds one cookie (Brent's algorithm), however long the way is.
#[derive(Debug)]
pub(super) struct Course {
    mark: u64,
    /// Pages since the mark, and how many of them until the next.
    steps: u64,
    reach: u64,
    empty: u32,
}

// === impl Course ===

impl Course {
    /// Takes a page in. `false`: its end was met before, or is not worth waiting for.
    pub(super) fn leads_on(&mut self, page: &Page) -> bool {
        self.empty = if page.entries.is_empty() {
            self.empty + 1
        } else {
            0
        };
        if page.next.at == self.mark || self.empty > EMPTY_MAX {
            return false;
        }
        self.steps += 1;
        if self.steps == self.reach {
            *self = Self {
                mark: page.next.at,
                steps: 0,
                reach: self.reach.saturating_mul(2),
                empty: self.empty,
            };
        }
        true
    }
}

impl Default for Course {
    fn default() -> Self {
        Self {
            mark: 0,
            steps: 0,
            reach: 1,
            empty: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::stat::{Cookie, PageEntry};

    fn mk_page(at: u64, entries: usize) -> Page {
        let entry = || PageEntry {
            name: b"x".to_vec(),
            handle: None,
            attributes: None,
        };
        Page {
            entries: std::iter::repeat_with(entry).take(entries).collect(),
            next: Cookie {
                at,
                ..Cookie::default()
            },
            eof: false,
        }
    }

    /// Pages taken of those whose ends are `cookies`.
    fn taken(cookies: impl Iterator<Item = u64>, entries: usize) -> usize {
        let mut course = Course::default();
        cookies
            .take_while(|at| course.leads_on(&mk_page(*at, entries)))
            .count()
    }

    #[test]
    fn a_circle_of_any_size_is_noticed_wherever_it_begins() {
        for lead in [0, 1, 2, 7, 1000] {
            for round in [1, 2, 3, 64, 999] {
                let way = 1..=lead;
                let circle = std::iter::repeat(lead + 1..=lead + round).flatten();
                let pages = taken(way.chain(circle), 1) as u64;
                let bound = 3 * (lead + round) + 3;
                assert!(
                    pages > lead && pages <= bound,
                    "lead {lead}, round {round}: {pages} pages"
                );
            }
        }
    }

    #[test]
    fn a_way_that_never_comes_by_the_same_place_is_followed_to_its_end() {
        assert_eq!(taken(1..=100_000, 1), 100_000);
    }

    #[test]
    fn a_way_back_to_the_start_is_a_circle() {
        assert_eq!(taken([0].into_iter(), 1), 0);
    }

    #[test]
    fn pages_without_entries_are_followed_for_a_while_only() {
        assert_eq!(taken(1.., 0), EMPTY_MAX as usize);
    }
}
