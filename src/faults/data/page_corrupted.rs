//! `page_corrupted`: a page of a table, of an index or of the WAL holds other bytes on disk than PostgreSQL wrote.

use async_trait::async_trait;

use crate::{
    engine::Shell,
    faults::{Aim, Fault, FaultError, FaultKind, Hosts, Lasts, Parameter, Place, Takes, hosts},
    plan::Plan,
    services::patroni::{DATA_DIRECTORY, WAL_SEGMENT_BYTES},
    system::{
        System,
        access::{LEDGER_INDEX, LEDGER_TABLE},
    },
    topology::{Instance, ServiceKind},
};

pub(in crate::faults) const KIND: FaultKind = FaultKind {
    name: "page_corrupted",
    effect: "8 KiB of a file under the running server are overwritten with random bytes, after a checkpoint: a reader \
             that finds the page in memory notices nothing, one that must read the file does, by the page's checksum",
    confirmed_by: "the page of the file holds the random bytes; healed when it does not: the old bytes are put back, \
                   unless PostgreSQL has written the page or replaced the file in the meantime",
    limits: "the host must run PostgreSQL; the page must be in the file already; of the WAL it is the last whole page \
             that the node has on its disk",
    parameters: &[
        Parameter::with_default("of", Takes::OneOf(&["table", "index", "WAL"]), "table", "what the page belongs to"),
        Parameter::optional("relation", Takes::Text, "the table or index; without it, the ledger's"),
        Parameter::with_default("page", Takes::Number, "0", "the page of the table or index, from 0"),
    ],
    lasts: Lasts::Once,
    hosts: Hosts::Each,
    reaches_clients: false,
    aim,
};

/// PostgreSQL's page, of relations and of the WAL alike, as every package has it compiled.
const PAGE_BYTES: u64 = 8192;
/// What was there, and what was put there, in the container of PostgreSQL: what is put back must be what was taken.
const ORIGINAL: &str = "/tmp/pgquake-page-original";
const RANDOM: &str = "/tmp/pgquake-page-random";

/// Where the WAL ends that a node has on its disk.
const WAL_END: &str = "SELECT CASE WHEN pg_is_in_recovery() THEN pg_last_wal_receive_lsn() \
                       ELSE pg_current_wal_flush_lsn() END - '0/0'::pg_lsn";
/// The timeline that it writes or receives.
const TIMELINE: &str = "SELECT coalesce((SELECT received_tli FROM pg_stat_wal_receiver), timeline_id) \
                        FROM pg_control_checkpoint()";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Of {
    Table,
    Index,
    Wal,
}

/// A page of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Page {
    file: String,
    number: u64,
}

struct PageCorrupted {
    aim: Aim,
    node: String,
    service: ServiceKind,
    of: Of,
    shell: Option<Shell>,
    page: Option<Page>,
}

fn aim(plan: &Plan, aim: &Aim) -> Result<Box<dyn Fault>, FaultError> {
    let (node, service) = hosts::node(KIND.name, plan, aim)?;
    let of = match aim.parameters.text("of").as_deref() {
        Some("WAL") => Of::Wal,
        Some("index") => Of::Index,
        _ => Of::Table,
    };
    Ok(Box::new(PageCorrupted { aim: aim.clone(), node, service, of, shell: None, page: None }))
}

/// The last whole page before a position of the WAL, and the segment that holds it.
fn last_whole_page(timeline: u32, end: u64) -> Option<Page> {
    let begins = (end / PAGE_BYTES).checked_sub(1)? * PAGE_BYTES;
    let (high, low) = (begins >> 32, (begins & 0xFFFF_FFFF) / WAL_SEGMENT_BYTES);
    let file = format!("{DATA_DIRECTORY}/pg_wal/{timeline:08X}{high:08X}{low:08X}");
    Some(Page { file, number: begins % WAL_SEGMENT_BYTES / PAGE_BYTES })
}

impl PageCorrupted {
    async fn page_of_relation(&self, system: &System) -> Result<Page, String> {
        let own = match self.of {
            Of::Index => LEDGER_INDEX,
            _ => LEDGER_TABLE,
        };
        let relation = self.aim.parameters.text("relation").unwrap_or_else(|| own.to_owned());
        // What is in memory alone gets to the disk, so that the page is there and stays as it is made now.
        system.checkpoint(&self.node).await?;
        let quoted = relation.replace('\'', "''");
        let path = system.sql_value(&self.node, &format!("SELECT pg_relation_filepath('{quoted}')")).await?;
        let number = self.aim.parameters.number("page").unwrap_or_default();
        if number < 0.0 || number.fract() != 0.0 {
            return Err(format!("{number} is no page"));
        }
        Ok(Page { file: format!("{DATA_DIRECTORY}/{path}"), number: number as u64 })
    }

    async fn page_of_wal(&self, system: &System) -> Result<Page, String> {
        let timeline = system.sql_value(&self.node, TIMELINE).await?;
        let end = system.sql_value(&self.node, WAL_END).await?;
        let read = timeline.parse().ok().zip(end.parse().ok());
        read.and_then(|(timeline, end)| last_whole_page(timeline, end))
            .ok_or_else(|| format!("{} has no page of WAL on timeline {timeline} before {end}", self.node))
    }

    /// Whether the page holds the random bytes now.
    async fn holds_random_bytes(&self) -> Result<bool, String> {
        let (Some(shell), Some(page)) = (&self.shell, &self.page) else { return Err("no page is chosen".to_owned()) };
        let told = shell.run(&page.same_as(RANDOM)).await.map_err(|error| error.to_string())?;
        Ok(told.status == 0)
    }
}

impl Page {
    /// A command that succeeds if the page holds what a file holds.
    fn same_as(&self, other: &str) -> String {
        let Self { file, number } = self;
        format!("dd if={file} bs={PAGE_BYTES} skip={number} count=1 2>/dev/null | cmp -s - {other}")
    }

    /// A command that writes a file over the page.
    fn overwrite(&self, with: &str) -> String {
        let Self { file, number } = self;
        format!("dd if={with} of={file} bs={PAGE_BYTES} seek={number} count=1 conv=notrunc,fsync 2>/dev/null")
    }
}

impl std::fmt::Display for Page {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "page {} of {}", self.number, self.file)
    }
}

#[async_trait]
impl Fault for PageCorrupted {
    fn services(&self) -> Vec<(String, Instance)> {
        vec![(self.node.clone(), self.service.into())]
    }

    fn stands_on(&self) -> Vec<Place> {
        vec![Place::Service(self.node.clone(), self.service.into())]
    }

    async fn prepare(&mut self, system: &System) -> Result<(), FaultError> {
        let Some(shell) = system.shell_in(&self.node, self.service).await? else { return Ok(()) };
        let page = match self.of {
            Of::Wal => self.page_of_wal(system).await,
            Of::Table | Of::Index => self.page_of_relation(system).await,
        };
        let page = page.map_err(|reason| self.aim.refuse(KIND.name, reason))?;
        let Page { file, number } = &page;
        let kept = format!(
            "dd if={file} of={ORIGINAL} bs={PAGE_BYTES} skip={number} count=1 2>&1; wc -c < {ORIGINAL}; \
             head -c {PAGE_BYTES} /dev/urandom > {RANDOM}"
        );
        let told = shell.run(&kept).await?.text;
        if told.lines().last() != Some(&PAGE_BYTES.to_string()) {
            return Err(self.aim.refuse(KIND.name, format!("{page} is not on its disk: {told}")));
        }
        (self.shell, self.page) = (Some(shell), Some(page));
        Ok(())
    }

    async fn inject(&mut self, _system: &System) -> Result<(), FaultError> {
        if let (Some(shell), Some(page)) = (&self.shell, &self.page) {
            // A heal of half of it needs the original alone.
            shell.must(&page.overwrite(RANDOM)).await?;
        }
        Ok(())
    }

    async fn bites(&self, _system: &System) -> Result<String, String> {
        let page = self.page.as_ref().ok_or("no page is chosen")?;
        match self.holds_random_bytes().await? {
            true => Ok(format!("{page} on {} holds random bytes", self.node)),
            false => Err(format!("{page} on {} does not hold the random bytes", self.node)),
        }
    }

    /// What PostgreSQL has not written since the checkpoint is on disk as it was then.
    async fn heal(&mut self, _system: &System) -> Result<(), FaultError> {
        if let (Some(shell), Some(page)) = (&self.shell, &self.page) {
            shell.must(&format!("if {}; then {}; fi", page.same_as(RANDOM), page.overwrite(ORIGINAL))).await?;
        }
        Ok(())
    }

    async fn gone(&self, _system: &System) -> Result<String, String> {
        let page = self.page.as_ref().ok_or("no page is chosen")?;
        match self.holds_random_bytes().await? {
            true => Err(format!("{page} on {} still holds random bytes", self.node)),
            false => Ok(format!("{page} on {} does not hold the random bytes any more", self.node)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_of_wal_is_found_by_its_position() {
        let page =
            |end| last_whole_page(2, end).map(|page| (page.file.rsplit('/').next().map(str::to_owned), page.number));
        assert_eq!(page(0x3_0000_4001), Some((Some("000000020000000300000000".to_owned()), 1)));
        // The page before the first of a segment is the last of the one before.
        assert_eq!(page(0x0200_0000), Some((Some("000000020000000000000001".to_owned()), 2047)));
        assert_eq!(page(100), None);
    }
}
