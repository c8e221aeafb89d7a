//! Tables on standard output, and the list of what missed its aim.

/// What was measured so far.
#[derive(Debug, Default)]
pub(crate) struct Report {
    aims: Vec<Aim>,
}

/// Columns of text; the first one is a name, the others are figures.
#[derive(Debug)]
pub(crate) struct Table {
    title: String,
    rows: Vec<Vec<String>>,
}

#[derive(Debug)]
struct Aim {
    what: String,
    text: String,
    verdict: Verdict,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Met,
    /// Missed by less than the figure is certain.
    Uncertain,
    Missed,
}

// === impl Report ===

impl Report {
    /// `got` shall be `limit` or more; the text for a cell.
    pub(crate) fn at_least(&mut self, what: &str, got: f64, limit: f64) -> String {
        self.aim(what, got, ">=", limit, Verdict::of(got >= limit))
    }

    /// `got`, of which it is certain only that it is not above `at_most`, shall be `limit` or more; the text for a cell.
    pub(crate) fn at_least_about(
        &mut self,
        what: &str,
        got: f64,
        at_most: f64,
        limit: f64,
    ) -> String {
        let verdict = match Verdict::of(got >= limit) {
            Verdict::Missed if at_most >= limit => Verdict::Uncertain,
            verdict => verdict,
        };
        self.aim(what, got, ">=", limit, verdict)
    }

    /// `got` shall be `limit` or less; the text for a cell.
    pub(crate) fn at_most(&mut self, what: &str, got: f64, limit: f64) -> String {
        self.aim(what, got, "<=", limit, Verdict::of(got <= limit))
    }

    fn aim(
        &mut self,
        what: &str,
        got: f64,
        relation: &str,
        limit: f64,
        verdict: Verdict,
    ) -> String {
        let text = format!("{} (aim {relation} {limit})", number(got));
        self.aims.push(Aim {
            what: what.to_owned(),
            text: text.clone(),
            verdict,
        });
        text
    }

    /// Says what was missed. A miss is no failure of the run: other programs on the machine can cause it.
    pub(crate) fn finish(&self) {
        let of = |verdict| self.aims.iter().filter(move |aim| aim.verdict == verdict);
        println!(
            "\n{} of {} aims met",
            of(Verdict::Met).count(),
            self.aims.len()
        );
        for aim in of(Verdict::Uncertain) {
            println!(
                "no difference that could be measured: {}: {}",
                aim.what, aim.text
            );
        }
        for aim in of(Verdict::Missed) {
            println!("missed: {}: {}", aim.what, aim.text);
        }
    }
}

// === impl Verdict ===

impl Verdict {
    fn of(met: bool) -> Self {
        if met { Self::Met } else { Self::Missed }
    }
}

// === impl Table ===

impl Table {
    pub(crate) fn new(title: impl Into<String>, head: &[&str]) -> Self {
        Self {
            title: title.into(),
            rows: vec![head.iter().map(|&cell| cell.to_owned()).collect()],
        }
    }

    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// As Markdown, with columns that line up.
    pub(crate) fn print(&self) {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or_default();
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            cells
                .map(|cell| cell.chars().count())
                .max()
                .unwrap_or_default()
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        println!("\n### {}\n", self.title);
        for (number, row) in self.rows.iter().enumerate() {
            print_row(row, &widths);
            if number == 0 {
                let rule = |(column, width): (usize, &usize)| {
                    let end = if column == 0 { "-" } else { ":" };
                    format!("{}{end}", "-".repeat(width.saturating_sub(1)))
                };
                print_row(
                    &widths.iter().enumerate().map(rule).collect::<Vec<_>>(),
                    &widths,
                );
            }
        }
    }
}

fn print_row(row: &[String], widths: &[usize]) {
    let empty = String::new();
    for (column, &width) in widths.iter().enumerate() {
        let cell = row.get(column).unwrap_or(&empty);
        if column == 0 {
            print!("| {cell:<width$} ");
        } else {
            print!("| {cell:>width$} ");
        }
    }
    println!("|");
}

/// With as many digits as are worth reading.
pub(crate) fn number(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}
