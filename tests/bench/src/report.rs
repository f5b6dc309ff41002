//! All figures of a run, as they are kept and compared with those of another.

use std::fs;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use crate::cost::Effort;
use crate::figure::{Figure, short};

#[derive(Deserialize, Serialize)]
pub(crate) struct Report {
    pub(crate) version: String,
    /// When it was begun, in UTC.
    pub(crate) date: String,
    pub(crate) cores: usize,
    pub(crate) runs: usize,
    /// Whether runs were short, so that figures say little.
    pub(crate) smoke: bool,
    /// Whether the scheduler was free to use all cores in every row.
    pub(crate) all_cores: bool,
    pub(crate) figures: Vec<Figure>,
}

/// Writes a file, and makes its folder if there is none.
pub(crate) fn keep(file: &Path, text: &str) -> Result<()> {
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))
}

impl Report {
    /// Without figures.
    pub(crate) fn new(effort: Effort) -> Result<Self> {
        Ok(Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            date: date(SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs()),
            cores: std::thread::available_parallelism()?.get(),
            runs: effort.runs,
            smoke: effort.smoke,
            all_cores: effort.all_cores,
            figures: Vec::new(),
        })
    }

    /// What an earlier run has written.
    pub(crate) fn read(file: &Path) -> Result<Self> {
        let text = fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
        serde_json::from_slice(&text).with_context(|| format!("{} holds no figures", file.display()))
    }

    pub(crate) fn write(&self, file: &Path) -> Result<()> {
        keep(file, &(serde_json::to_string_pretty(self)? + "\n"))
    }

    /// How many goals are reached, and which are missed.
    pub(crate) fn verdict(&self) -> String {
        let goals = self.figures.iter().filter_map(|figure| Some((figure, figure.reached?)));
        let (reached, missed): (Vec<_>, Vec<_>) = goals.partition(|(_, reached)| *reached);
        let missed: Vec<String> = missed
            .iter()
            .map(|(figure, _)| format!("{} ({})", figure.row, figure.what))
            .collect();
        let of = reached.len() + missed.len();
        match missed.as_slice() {
            [] => format!("all {of} goals reached"),
            _ => format!("{} of {of} goals reached; missed: {}", reached.len(), missed.join(", ")),
        }
    }

    /// Each figure beside that of an earlier run. Machines differ from day to day: the ratio to the floor says more than the
    /// figure itself.
    pub(crate) fn beside(&self, earlier: &Self) -> String {
        let mut lines = vec![
            format!(
                "beside {} of {}, {} cores, {} runs",
                earlier.version, earlier.date, earlier.cores, earlier.runs
            ),
            line([
                "row",
                "figure",
                "then",
                "now",
                "change",
                "x floor then",
                "now",
                "change",
            ]),
        ];
        for now in &self.figures {
            let same = |then: &&Figure| then.row == now.row && then.what == now.what;
            let Some(then) = earlier.figures.iter().find(same) else {
                continue;
            };
            let [of_then, of_now] = [then, now].map(|figure| figure.ratio.map(|ratio| ratio.median));
            let ratio = |value: Option<f64>| value.map(short).unwrap_or_default();
            let changed = of_then.zip(of_now).map(|(then, now)| change(then, now));
            lines.push(line([
                &now.row,
                &now.what,
                &short(then.jackfield.median),
                &short(now.jackfield.median),
                &change(then.jackfield.median, now.jackfield.median),
                &ratio(of_then),
                &ratio(of_now),
                &changed.unwrap_or_default(),
            ]));
        }
        lines.join("\n")
    }
}

fn line([row, what, then, now, change, ratio_then, ratio_now, ratio_change]: [&str; 8]) -> String {
    format!("{row:<13} {what:<31} {then:>10} {now:>10} {change:>8} {ratio_then:>14} {ratio_now:>8} {ratio_change:>8}")
}

fn change(then: f64, now: f64) -> String {
    match then {
        0.0 => String::new(),
        _ => format!("{:+.0} %", (now / then - 1.0) * 100.0),
    }
}

/// Seconds since 1970 as a date with the time of day (the days of the Gregorian calendar, counted from 1 March of the year 0).
fn date(unix_seconds: u64) -> String {
    let (days, seconds) = (unix_seconds / 86_400 + 719_468, unix_seconds % 86_400);
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (year, month) = match month {
        ..10 => (year + era * 400, month + 3),
        _ => (year + era * 400 + 1, month - 9),
    };
    let (hour, minute) = (seconds / 3_600, seconds / 60 % 60);
    format!("{year}-{month:02}-{day:02} {hour:02}:{minute:02} UTC")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_become_a_date() {
        for (seconds, expected) in [
            (0, "1970-01-01 00:00 UTC"),
            (951_782_399, "2000-02-28 23:59 UTC"),
            (951_782_400, "2000-02-29 00:00 UTC"),
            (1_795_356_060, "2026-11-22 14:01 UTC"),
        ] {
            assert_eq!(date(seconds), expected);
        }
    }
}
