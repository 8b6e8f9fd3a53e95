//! What was measured, as text.

use std::fmt::Write as _;

use super::Bench;

/// One fact a line; steps of an update with their share of the rate of a matrix product.
pub(super) fn text(bench: &Bench) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = lines(bench, &mut text);
    text
}

fn lines(bench: &Bench, to: &mut String) -> std::fmt::Result {
    writeln!(to, "{} on {} threads", bench.algorithm, bench.threads)?;
    let work: f64 =
        bench.phases.iter().filter(|time| !time.path.contains('/')).map(|time| time.multiply_adds).sum();
    let floor = work / bench.product_rate;
    writeln!(to, "update          {:.4} s, median of {}", bench.update_s, bench.updates_s.len())?;
    writeln!(
        to,
        "floor           {floor:.4} s: {:.2} G multiply-adds at {:.0} G/s; {:.0} % reached",
        work / 1e9,
        bench.product_rate / 1e9,
        100.0 * floor / bench.update_s
    )?;
    writeln!(to, "collecting      {:.0} environment steps/s", bench.env_steps_per_s)?;
    writeln!(to, "episode         {} bytes in replay", bench.episode_bytes)?;
    if bench.kept > 0.0 {
        let known = 100.0 * bench.kept;
        writeln!(to, "slow networks   {known:.0} % of the episodes known, as with a full replay")?;
    }
    if let Some(peak) = bench.peak_rss_bytes {
        writeln!(to, "peak memory     {:.0} MiB", peak as f64 / 1_048_576.0)?;
    }
    for (name, count) in &bench.parameters {
        writeln!(to, "parameters      {count:>9}  {name}")?;
    }
    writeln!(to, "\n      ms  G mul-adds  of the rate  step, one after the other")?;
    for time in &bench.phases {
        let (depth, name) =
            (time.path.matches('/').count(), time.path.rsplit('/').next().unwrap_or_default());
        let share = 100.0 * time.multiply_adds / time.seconds / bench.product_rate;
        let name = format!("{}{name}", "  ".repeat(depth));
        if time.multiply_adds > 0.0 {
            let work = time.multiply_adds / 1e9;
            writeln!(to, "{:>8.2}  {work:>10.3}  {share:>9.0} %  {name}", 1e3 * time.seconds)?;
        } else {
            writeln!(to, "{:>8.2}  {:>10}  {:>11}  {name}", 1e3 * time.seconds, "", "")?;
        }
    }
    if let Some(against) = &bench.against {
        writeln!(
            to,
            "\n{} {}: {:.4} s, median of {} on {} threads; here {:.2} times as fast",
            against.name,
            against.version,
            against.update_s,
            against.updates_s.len(),
            against.threads,
            against.ratio
        )?;
    }
    Ok(())
}
