//! Reports side by side.

use super::{Count, Report, groups};

impl Report {
    /// One Markdown table of several reports: a row for each group with the number of its clauses, and one
    /// for all; a column for each store. A group that a report does not have is `–` there.
    #[must_use]
    pub fn table(reports: &[Self]) -> String {
        let mut rows: Vec<Vec<String>> = vec![vec!["Group".into(), "Clauses".into()]];
        rows.extend(names(reports).into_iter().map(|name| row(reports, Some(name))));
        rows.push(row(reports, None));
        if let Some(head) = rows.first_mut() {
            head.extend(reports.iter().map(|report| report.store.replace('|', "\\|")));
        }
        let width = |column: usize| {
            rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<_> = (0..reports.len() + 2).map(width).collect();
        let mut table = String::new();
        for (number, row) in rows.iter().enumerate() {
            let cells = row.iter().zip(&widths).map(|(cell, width)| format!(" {cell:width$} "));
            table.push_str(&line(cells));
            if number == 0 {
                table.push_str(&line(widths.iter().map(|width| "-".repeat(width + 2))));
            }
        }
        table
    }
}

fn line(cells: impl Iterator<Item = String>) -> String {
    format!("|{}|\n", cells.collect::<Vec<_>>().join("|"))
}

/// The groups of all reports, each once.
fn names(reports: &[Report]) -> Vec<&str> {
    let mut names = Vec::new();
    for (name, _) in reports.iter().flat_map(|report| groups(&report.clauses)) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

/// The row of one group, or of all clauses.
fn row(reports: &[Report], group: Option<&str>) -> Vec<String> {
    let counts: Vec<_> = reports
        .iter()
        .map(|report| {
            let clauses = report.clauses.iter();
            Count::of(clauses.filter(|clause| group.is_none_or(|group| clause.group == group)))
        })
        .collect();
    let clauses = counts.iter().map(|count| count.all()).max().unwrap_or(0);
    let cells = counts.iter().map(|count| if count.all() == 0 { "–".to_owned() } else { count.to_string() });
    [group.unwrap_or("all").to_owned(), clauses.to_string()].into_iter().chain(cells).collect()
}
