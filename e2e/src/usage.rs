//! What a process uses of the machine, as proc(5) tells.
use anyhow::{Context, Result};

/// What a process uses.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Usage {
    /// Resident memory in bytes, now.
    pub resident: u64,
    /// The most it ever was.
    pub peak: u64,
    /// Time that it has used of processors so far, in ticks of 10 ms.
    pub ticks: u64,
    /// Open files and sockets.
    pub descriptors: usize,
}

impl Usage {
    /// Of a process that runs.
    ///
    /// # Errors
    /// If it has ended.
    pub fn of(process: u32) -> Result<Self> {
        let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
        let bytes = |field: &str| -> Result<u64> {
            let line =
                status.lines().find_map(|line| line.strip_prefix(field)).context("no memory in status")?;
            Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? * 1_024)
        };
        let stat = std::fs::read_to_string(format!("/proc/{process}/stat"))?;
        // Behind the name in parentheses: fields 14 and 15, user and system.
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let ticks =
            |field: usize| -> Result<u64> { Ok(fields.get(field - 3).context("no times in stat")?.parse()?) };
        let descriptors = std::fs::read_dir(format!("/proc/{process}/fd"))?.count();
        Ok(Self {
            resident: bytes("VmRSS:")?,
            peak: bytes("VmHWM:")?,
            ticks: ticks(14)? + ticks(15)?,
            descriptors,
        })
    }
}
