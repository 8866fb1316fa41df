//! What faults of disks share: the volume that they hit, the commands that its disk gets, and probes of it.

pub(super) mod disk_error;
pub(super) mod disk_full;
pub(super) mod disk_slow;
pub(super) mod disk_stall;
pub(super) mod power_loss;

use std::time::Duration;

use async_trait::async_trait;

use super::{Aim, Fault, FaultError, Parameter, Place, Takes};
use crate::{
    engine::{Shell, ShellOutput},
    plan::Plan,
    services::{self, Storage},
    system::{DiskError, System},
    topology::{Instance, ServiceKind},
};

pub(super) const LIMITS: &str = "only hosts whose disks are prepared: `prepare: { disks: true }` in the topology, or \
                                 `Given the disks can fail`; the engine's machine needs FUSE (`pgquake doctor`)";
pub(super) const VOLUME: Parameter = Parameter::with_default(
    "volume",
    Takes::OneOf(&["data", "WAL", "DCS"]),
    "data",
    "PostgreSQL's data directory with its WAL, its WAL alone, or the DCS's data",
);

/// Why a fault of disks is refused.
pub(super) fn not_prepared(host: &str) -> String {
    format!(
        "no disk of {host} is prepared; write `Given the disks can fail`, or `prepare: {{ disks: true }}` in the topology"
    )
}

/// The kinds of service that have this volume, and where the volume is, below the data directory of each.
fn volumes_of(word: &str) -> impl Iterator<Item = (ServiceKind, &'static str)> {
    services::ALL.iter().filter_map(move |row| {
        let volume = row.storage?.volumes.iter().find(|volume| volume.word == word)?;
        Some((row.kind, volume.below))
    })
}

/// A part of a host's storage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Volume {
    host: String,
    kind: ServiceKind,
    storage: Storage,
    /// Below the mount point.
    pub prefix: String,
}

impl Volume {
    /// The volume that the parameter `volume` names, on the aimed host.
    pub fn aimed(fault: &'static str, plan: &Plan, aim: &Aim) -> Result<Self, FaultError> {
        let host = aim.one_host(fault)?;
        let named = aim.parameters.text("volume").unwrap_or_default();
        let here = volumes_of(&named).find(|(kind, _)| plan.runs(host, *kind));
        let (kind, below) = here.ok_or_else(|| {
            let kinds: Vec<&str> = volumes_of(&named).map(|(kind, _)| kind.name()).collect();
            aim.refuse(fault, format!("{host} does not run {}", kinds.join(" or ")))
        })?;
        let storage = plan.prepared_storage(host, kind).ok_or_else(|| aim.refuse(fault, not_prepared(host)))?;
        let prefix = if below.is_empty() { storage.data.to_owned() } else { format!("{}/{below}", storage.data) };
        Ok(Self { host: host.to_owned(), kind, storage, prefix })
    }

    async fn tell(&self, system: &System, command: &str) -> Result<String, DiskError> {
        system.tell_disk(&self.host, self.kind, command).await
    }

    /// A name for reports.
    fn words(&self) -> String {
        format!("{}/{} of {}", self.storage.directory, self.prefix, self.host)
    }

    /// Writes 64 KiB into the volume and syncs them, as its user.
    fn probe(&self) -> String {
        let Storage { directory, user, .. } = self.storage;
        let file = format!("{directory}/{}/.pgquake-probe", self.prefix);
        format!(
            "setpriv --reuid={user} --regid={user} --clear-groups \
             sh -c 'dd if=/dev/zero of={file} bs=64k count=1 conv=fsync 2>&1; status=$?; rm -f {file}; exit $status'"
        )
    }
}

/// What a fault makes of a write to the volume.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Shows {
    /// It fails with these words of the kernel.
    Error(&'static str),
    /// It takes at least this long.
    Takes(Duration),
    /// It does not end.
    Hangs,
    /// It is refused by the disk, whoever makes it, once the volume has filled up by itself.
    Fills,
}

impl Shows {
    /// How long a write may take that shows it. A slow one is delayed more than once.
    fn within(&self) -> Duration {
        match self {
            Shows::Takes(at_least) => *at_least * 4 + Duration::from_secs(1),
            Shows::Error(_) | Shows::Fills => Duration::from_secs(2),
            Shows::Hangs => Duration::from_millis(200),
        }
    }

    /// How long its proof may take.
    fn proven_within(&self) -> Duration {
        match self {
            Shows::Fills => FILLS_WITHIN,
            _ => MARGIN + 2 * self.within(),
        }
    }
}

/// How long a volume may take to fill up.
const FILLS_WITHIN: Duration = Duration::from_secs(180);
/// What the machine may take beside a write.
const MARGIN: Duration = Duration::from_secs(10);

/// A fault that a command to the disk begins and another one ends.
pub(super) struct DiskFault {
    volume: Volume,
    on: String,
    off: &'static str,
    shows: Shows,
    /// In the service's own container, which alone sees the disk.
    shell: Option<Shell>,
    /// How many writes had been refused for want of room before.
    refused_before: u64,
}

impl DiskFault {
    /// `on` and `off` are commands of the disk.
    pub fn new(volume: Volume, on: String, off: &'static str, shows: Shows) -> Self {
        Self { volume, on, off, shows, shell: None, refused_before: 0 }
    }

    /// How many writes the disk has refused so far for want of room.
    async fn refused(&self, system: &System) -> Result<u64, String> {
        let told = self.volume.tell(system, "status").await.map_err(|error| error.to_string())?;
        let count = told.split_whitespace().find_map(|word| word.strip_prefix("enospc_returned="));
        count.and_then(|count| count.parse().ok()).ok_or(told)
    }

    /// A write to the volume: its outcome and how long it took; `None`: it had not ended after the time.
    async fn try_a_write(&self, within: Duration) -> Result<Option<(ShellOutput, Duration)>, String> {
        let shell = self.shell.as_ref().ok_or("the service has no shell")?;
        // In the background, because a write that hangs can't even be killed.
        let script = format!(
            "out=$(mktemp); (began=$(date +%s%N); {}; status=$?; echo \"$status $(( $(date +%s%N) - began ))\") \
             > $out 2>&1 & i=0; until tail -n 1 $out | grep -Eq '^[0-9]+ [0-9]+$' || [ $i -ge {} ]; do \
             i=$((i + 1)); sleep 0.02; done; cat $out",
            self.volume.probe(),
            within.as_millis() / 20,
        );
        let told = shell.run_within(&script, within + MARGIN).await.map_err(|error| error.to_string())?.text;
        Ok(read_write(&told))
    }
}

/// The outcome of a write by the last line of its report: status and nanoseconds.
fn read_write(told: &str) -> Option<(ShellOutput, Duration)> {
    let (status, nanos) = told.lines().last()?.split_once(' ')?;
    let output = ShellOutput { status: status.parse().ok()?, text: told.to_owned() };
    Some((output, Duration::from_nanos(nanos.parse().ok()?)))
}

#[async_trait]
impl Fault for DiskFault {
    fn services(&self) -> Vec<(String, Instance)> {
        vec![(self.volume.host.clone(), self.volume.kind.into())]
    }

    /// The disk is mounted in the service's container, and a process of it.
    fn stands_on(&self) -> Vec<Place> {
        vec![Place::Service(self.volume.host.clone(), self.volume.kind.into())]
    }

    fn confirmed_within(&self) -> Duration {
        self.shows.proven_within()
    }

    async fn prepare(&mut self, system: &System) -> Result<(), FaultError> {
        self.shell = system.shell_in(&self.volume.host, self.volume.kind).await?;
        if self.shows == Shows::Fills {
            self.refused_before = self.refused(system).await.unwrap_or_default();
        }
        Ok(())
    }

    async fn inject(&mut self, system: &System) -> Result<(), FaultError> {
        self.volume.tell(system, &self.on).await?;
        Ok(())
    }

    async fn bites(&self, system: &System) -> Result<String, String> {
        let words = self.volume.words();
        if self.shows == Shows::Fills {
            return match self.refused(system).await?.saturating_sub(self.refused_before) {
                0 => Err(format!("nothing was refused on {words}: it has room")),
                refused => Ok(format!("{refused} writes to {words} were refused: no space left on device")),
            };
        }
        let wrote = self.try_a_write(self.shows.within()).await?;
        match (&self.shows, &wrote) {
            (Shows::Error(kernel), Some((output, _))) if output.status != 0 && output.text.contains(kernel) => {
                Ok(format!("a write to {words} fails: {kernel}"))
            }
            (Shows::Takes(at_least), Some((output, took))) if output.status == 0 && took >= at_least => {
                Ok(format!("a synced write to {words} took {} ms", took.as_millis()))
            }
            (Shows::Hangs, None) => Ok(format!("a write to {words} hangs")),
            _ => Err(format!("a write to {words} came to {wrote:?}")),
        }
    }

    /// A machine that lives writes back what a service leaves behind when it ends: the disk must be able to. One that
    /// dies with its host writes nothing.
    async fn let_go(&mut self, system: &System, lost: &[Place]) -> Result<(), FaultError> {
        let host = Place::Host(self.volume.host.clone());
        if lost.contains(&host) { Ok(()) } else { self.heal(system).await }
    }

    async fn heal(&mut self, system: &System) -> Result<(), FaultError> {
        self.volume.tell(system, self.off).await?;
        Ok(())
    }

    async fn gone(&self, _system: &System) -> Result<String, String> {
        let words = self.volume.words();
        match self.try_a_write(Duration::from_secs(5)).await? {
            Some((output, took)) if output.status == 0 => {
                Ok(format!("a synced write to {words} took {} ms", took.as_millis()))
            }
            other => Err(format!("a write to {words} came to {other:?}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_outcome_of_a_write_is_its_reports_last_line() {
        let told = "dd: error writing: No space left on device\n1 2500000";
        let (output, took) = read_write(told).expect("it ended");
        assert_eq!((output.status, took), (1, Duration::from_micros(2500)));
        assert_eq!(read_write(""), None);
        assert_eq!(read_write("1+0 records in"), None);
    }
}
