//! The records of a name, as PowerDNS's API writes them.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// How a name leads to hosts, whose addresses are in the order of the topology.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Leads {
    /// To all of them at once.
    Plainly(Vec<IpAddr>),
    /// To one of them for each question, drawn by lot; each with its weight.
    ByWeight(Vec<(IpAddr, u32)>),
    /// To the first that accepts connections at this port; to all of them while none does.
    ByHealth { port: u16, addresses: Vec<IpAddr> },
}

/// The records of one name and one type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordSet {
    /// The whole name, with the dot at its end.
    pub name: String,
    #[serde(rename = "type")]
    pub kind: RecordKind,
    #[serde(rename = "ttl")]
    pub ttl_s: u32,
    pub records: Vec<Record>,
}

/// One record.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Record {
    pub content: String,
    pub disabled: bool,
}

/// The types of record that a name can have here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum RecordKind {
    /// An address.
    A,
    /// A program of PowerDNS's own, which is run for each question.
    #[serde(rename = "LUA")]
    Lua,
}

impl RecordKind {
    /// The kind that a name must not have beside this one.
    pub(super) fn other(self) -> Self {
        match self {
            RecordKind::A => RecordKind::Lua,
            RecordKind::Lua => RecordKind::A,
        }
    }
}

/// The records by which a name (whole, without the dot at its end) leads to hosts.
pub fn record_set(name: &str, ttl_s: u32, leads: &Leads) -> RecordSet {
    let (kind, contents) = match leads {
        Leads::Plainly(addresses) => (RecordKind::A, addresses.iter().map(IpAddr::to_string).collect()),
        Leads::ByWeight(weighted) => {
            let weighted: Vec<String> =
                weighted.iter().map(|(address, weight)| format!("{{{weight},'{address}'}}")).collect();
            (RecordKind::Lua, vec![format!("A \"pickwrandom({{{}}})\"", weighted.join(","))])
        }
        Leads::ByHealth { port, addresses } => {
            // Sets of one address each: PowerDNS answers from the first set in which one is up.
            let sets: Vec<String> = addresses.iter().map(|address| format!("{{'{address}'}}")).collect();
            let program = format!("ifportup({port}, {{{}}}, {{backupSelector='all'}})", sets.join(","));
            (RecordKind::Lua, vec![format!("A \"{program}\"")])
        }
    };
    let records = contents.into_iter().map(|content| Record { content, disabled: false }).collect();
    RecordSet { name: format!("{name}."), kind, ttl_s, records }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses() -> Vec<IpAddr> {
        ["10.0.0.1", "10.0.0.2"].iter().map(|address| address.parse().unwrap()).collect()
    }

    fn contents(leads: &Leads) -> Vec<String> {
        record_set("db.pgquake.test", 60, leads).records.into_iter().map(|record| record.content).collect()
    }

    #[test]
    fn a_plain_name_has_a_record_for_each_host() {
        assert_eq!(contents(&Leads::Plainly(addresses())), ["10.0.0.1", "10.0.0.2"]);
    }

    #[test]
    fn weights_and_health_are_programs() {
        let weighted = addresses().into_iter().zip([70, 30]).collect();
        let drawn = "A \"pickwrandom({{70,'10.0.0.1'},{30,'10.0.0.2'}})\"";
        assert_eq!(contents(&Leads::ByWeight(weighted)), [drawn]);
        let checked = "A \"ifportup(5432, {{'10.0.0.1'},{'10.0.0.2'}}, {backupSelector='all'})\"";
        assert_eq!(contents(&Leads::ByHealth { port: 5432, addresses: addresses() }), [checked]);
    }

    #[test]
    fn a_program_for_the_most_answers_fits_into_one_text_of_a_record() {
        let address: IpAddr = "198.219.219.219".parse().unwrap();
        let longest = Leads::ByHealth { port: 65535, addresses: vec![address; 8] };
        let weighted = Leads::ByWeight(vec![(address, 1_000_000); 8]);
        for leads in [longest, weighted] {
            let content = &contents(&leads)[0];
            let program = content.trim_start_matches("A ").trim_matches('"');
            assert!(program.len() <= 255, "{} characters: {program}", program.len());
        }
    }

    #[test]
    fn records_are_written_as_the_api_wants_them() {
        let written = serde_json::to_value(record_set("db.pgquake.test", 60, &Leads::Plainly(addresses()))).unwrap();
        let record = |content: &str| serde_json::json!({ "content": content, "disabled": false });
        let records = [record("10.0.0.1"), record("10.0.0.2")];
        let expected = serde_json::json!({ "name": "db.pgquake.test.", "type": "A", "ttl": 60, "records": records });
        assert_eq!(written, expected);
    }
}
