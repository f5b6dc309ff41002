//! The whole table, row by row: what Jackfield costs, beside the floor of the same run.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Result, bail};
use clap::Args;

use crate::cost::Effort;
use crate::figure::Figure;
use crate::picture;
use crate::process::{descriptors, root};
use crate::report::Report;
use crate::rows::{Left, ROWS, Row};

#[derive(Args, Default)]
pub(crate) struct TableArgs {
    /// Only these rows.
    #[arg(value_name = "ROW")]
    rows: Vec<String>,
    /// Runs of each row; floor and host take turns.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    runs: Option<u32>,
    /// One short run of each row, within a minute.
    #[arg(long)]
    smoke: bool,
    /// Leave all threads to the scheduler, also in the rows that are otherwise measured on one core.
    #[arg(long)]
    all_cores: bool,
    /// Where the figures go.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Figures of an earlier run to compare with.
    #[arg(long, value_name = "FILE")]
    compare: Option<PathBuf>,
}

/// Measures the rows, prints each figure when it is known, and leaves them as JSON and as a picture.
#[expect(clippy::print_stdout, reason = "the table is what the bench is for")]
pub(crate) fn run(args: &TableArgs) -> Result<()> {
    let rows = wanted(args)?;
    // Read first: a mistake in its name should not come up after ten minutes.
    let earlier = args.compare.as_deref().map(Report::read).transpose()?;
    descriptors()?;
    let mut effort = if args.smoke { Effort::SMOKE } else { Effort::FULL };
    effort.all_cores = args.all_cores;
    effort.runs = args.runs.map_or(effort.runs, |runs| runs as usize);
    let mut report = Report::new(effort)?;
    println!(
        "Jackfield {} beside the floor, {} cores, {}: medians of {} runs (least and most), and how busy the one thread of the bench was",
        report.version, report.cores, report.date, effort.runs
    );
    if !effort.all_cores {
        println!(
            "server and bench share one core, but for fanout-32, idle connections and brokers (--all-cores: nowhere)"
        );
    }
    if effort.smoke {
        println!("a smoke: runs are short and few, so that figures lie far apart");
    }
    println!("\n{}", Figure::heads());
    let mut left = Left::default();
    for row in rows {
        let begun = Instant::now();
        let figures = row.measure(effort, &mut left)?;
        figures.iter().for_each(|figure| println!("{figure}"));
        eprintln!(
            "           {}: {:.0} s, {}",
            row.name,
            begun.elapsed().as_secs_f64(),
            row.what
        );
        report.figures.extend(figures);
    }
    drop(left);
    let json = args.json.clone().map_or_else(default_json, Ok)?;
    report.write(&json)?;
    let svg = root()?.join("target/bench/table.svg");
    picture::write(&svg, &report)?;
    println!(
        "\n{}\nfigures: {}\npicture: {}",
        report.verdict(),
        json.display(),
        svg.display()
    );
    if let Some(earlier) = earlier {
        println!("\n{}", report.beside(&earlier));
    }
    Ok(())
}

fn wanted(args: &TableArgs) -> Result<Vec<&'static Row>> {
    for name in &args.rows {
        if !ROWS.iter().any(|row| row.name == name) {
            let known: Vec<&str> = ROWS.iter().map(|row| row.name).collect();
            bail!("there is no row `{name}`; there are {}", known.join(", "));
        }
    }
    let wanted = |row: &&Row| match args.rows.as_slice() {
        [] => !(args.smoke && row.slow),
        names => names.iter().any(|name| name == row.name),
    };
    Ok(ROWS.iter().filter(wanted).collect())
}

fn default_json() -> Result<PathBuf> {
    Ok(root()?.join("target/bench/table.json"))
}
