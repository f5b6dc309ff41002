//! One line of the table: what was measured, of the floor and of Jackfield, and what it should be.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A figure of one row.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Figure {
    pub(crate) row: String,
    /// What it is, with its unit.
    pub(crate) what: String,
    /// Absent where there is nothing to compare with.
    pub(crate) floor: Option<Spread>,
    pub(crate) jackfield: Spread,
    /// Jackfield's by the floor's of the same run.
    pub(crate) ratio: Option<Spread>,
    pub(crate) goal: Option<Goal>,
    /// Absent without a goal.
    pub(crate) reached: Option<bool>,
    /// How busy the bench was, at the median: 1 is all of its one thread.
    pub(crate) generator: Option<f64>,
}

/// What it should be.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Goal {
    /// At most so many times the floor.
    Ratio(f64),
    AtMost(f64),
    AtLeast(f64),
}

/// Several runs: the median, and what they lay between.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
}

impl Figure {
    /// A figure beside the floor's, a value for each run.
    pub(crate) fn beside(what: &str, floor: &[f64], jackfield: &[f64]) -> Self {
        let ratios: Vec<f64> = jackfield.iter().zip(floor).map(|(host, floor)| host / floor).collect();
        Self {
            floor: Some(Spread::of(floor)),
            ratio: Some(Spread::of(&ratios)),
            ..Self::alone(what, jackfield)
        }
    }

    /// A figure with nothing beside it.
    pub(crate) fn alone(what: &str, jackfield: &[f64]) -> Self {
        Self {
            row: String::new(),
            what: what.to_owned(),
            floor: None,
            jackfield: Spread::of(jackfield),
            ratio: None,
            goal: None,
            reached: None,
            generator: None,
        }
    }

    pub(crate) fn goal(mut self, goal: Goal) -> Self {
        self.goal = Some(goal);
        self.reached = match goal {
            Goal::Ratio(most) => self.ratio.map(|ratio| ratio.median <= most),
            Goal::AtMost(most) => Some(self.jackfield.median <= most),
            Goal::AtLeast(least) => Some(self.jackfield.median >= least),
        };
        self
    }

    pub(crate) fn generator(mut self, shares: &[f64]) -> Self {
        self.generator = Some(Spread::of(shares).median);
        self
    }

    /// How the columns are called.
    pub(crate) fn heads() -> String {
        line(["row", "figure", "floor", "jackfield", "ratio", "goal", "", "bench"])
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let spread = |spread: Option<Spread>| spread.map_or_else(|| "-".to_owned(), |spread| spread.to_string());
        let goal = match self.goal {
            None => String::new(),
            Some(Goal::Ratio(most)) => format!("<= {most} x"),
            Some(Goal::AtMost(most)) => format!("<= {most}"),
            Some(Goal::AtLeast(least)) => format!(">= {least}"),
        };
        let reached = match self.reached {
            None => "",
            Some(true) => "reached",
            Some(false) => "MISSED",
        };
        let generator = self.generator.map(|share| format!("{:.0} %", share * 100.0));
        f.write_str(&line([
            &self.row,
            &self.what,
            &spread(self.floor),
            &spread(Some(self.jackfield)),
            &spread(self.ratio),
            &goal,
            reached,
            &generator.unwrap_or_default(),
        ]))
    }
}

impl Spread {
    /// Of one value at least.
    pub(crate) fn of(values: &[f64]) -> Self {
        let mut values = values.to_vec();
        values.sort_unstable_by(f64::total_cmp);
        let [min, .., max] = values[..] else {
            let [only] = values[..] else {
                panic!("nothing was measured")
            };
            return Self {
                median: only,
                min: only,
                max: only,
            };
        };
        let middle = values.len() / 2;
        let median = match values.len() % 2 {
            0 => f64::midpoint(values[middle - 1], values[middle]),
            _ => values[middle],
        };
        Self { median, min, max }
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { median, min, max } = *self;
        write!(f, "{}", short(median))?;
        if min < max {
            write!(f, " ({}–{})", short(min), short(max))?;
        }
        Ok(())
    }
}

/// With as many decimals as say something.
pub(crate) fn short(value: f64) -> String {
    match value.abs() {
        ..10.0 => format!("{value:.2}"),
        ..100.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

fn line([row, what, floor, jackfield, ratio, goal, reached, generator]: [&str; 8]) -> String {
    format!("{row:<13} {what:<31} {floor:>22} {jackfield:>22} {ratio:>18} {goal:>9} {reached:<7} {generator:>6}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_is_the_middle_and_the_ends() {
        assert_eq!(Spread::of(&[3.0, 1.0, 2.0]).to_string(), "2.00 (1.00–3.00)");
        assert_eq!(Spread::of(&[1.0, 2.0]).to_string(), "1.50 (1.00–2.00)");
        assert_eq!(Spread::of(&[1234.5]).to_string(), "1234");
    }

    #[test]
    fn what_is_compared_is_the_ratio_of_each_run() {
        // Each run is a tenth more, on a machine that gets slower.
        let figure = Figure::beside("", &[1.0, 2.0, 4.0], &[1.1, 2.2, 4.4]).goal(Goal::Ratio(1.11));
        assert_eq!(figure.ratio.map(|ratio| short(ratio.max)), Some("1.10".to_owned()));
        assert_eq!(figure.reached, Some(true));
    }
}
