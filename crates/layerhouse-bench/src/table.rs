//! A table of text in columns, with the first column to the left and figures to the right.

/// Rows of cells; every row as long as the head.
#[derive(Debug)]
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new(head: &[&str]) -> Self {
        let head = head.iter().map(ToString::to_string).collect();
        Self { rows: vec![head] }
    }

    pub(crate) fn row(&mut self, cells: Vec<String>) {
        assert_eq!(cells.len(), self.rows[0].len(), "a row has all columns");
        self.rows.push(cells);
    }

    /// Without the columns in which no row has anything but `–`.
    pub(crate) fn render(&self) -> String {
        let width = |column: usize| {
            self.rows
                .iter()
                .map(|row| row[column].chars().count())
                .max()
                .unwrap_or(0)
        };
        let said = |column: &usize| self.rows.iter().skip(1).any(|row| row[*column] != "–");
        let columns: Vec<(usize, usize)> = (0..self.rows[0].len())
            .filter(said)
            .map(|column| (column, width(column)))
            .collect();
        let mut text = String::new();
        for row in &self.rows {
            let cells: Vec<String> = columns
                .iter()
                .map(|(column, width)| match column {
                    0 => format!("{:<width$}", row[0]),
                    _ => format!("{:>width$}", row[*column]),
                })
                .collect();
            text.push_str(cells.join("  ").trim_end());
            text.push('\n');
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_empty_ones_go() {
        let mut table = Table::new(&["server", "GB/s", "CPU", "errors"]);
        table.row(vec!["a".into(), "12.5".into(), "–".into(), "0".into()]);
        table.row(vec!["nginx".into(), "3.1".into(), "–".into(), "10".into()]);
        assert_eq!(
            table.render(),
            "server  GB/s  errors\na       12.5       0\nnginx    3.1      10\n"
        );
    }
}
