//! A witness for the injector. pgquake's own client of Toxiproxy checks itself by reading back what it wrote, so a
//! mistake in how it names a thing would be made twice. `toxiproxy_rust` was written by others against the same API; it
//! does not look at a status, so it is no injector, but what it reads is what the server holds. On a real Toxiproxy of a
//! running system it reads what pgquake injected, and pgquake reads what it injected.

use std::{collections::HashMap, net::SocketAddr};

use pgquake::{
    drill::DrillContext,
    engine::{
        Engine,
        leftovers::{Ownership, Sweep},
    },
    history::Recorder,
    links::{Stream, Toxic, ToxicKind, Toxiproxy, listener_name},
    plan::Plan,
    services::toxiproxy,
    system::System,
    topology::{self, Link},
};
use tokio::runtime::Runtime;
use toxiproxy_rust::{client::Client, proxy::Proxy, toxic::ToxicPack};

const PORT: u16 = 8008;

/// What a toxic is in the API's own words: type, attributes.
type InTheApisWords = (&'static str, Vec<(&'static str, u32)>);

/// Every kind, with different figures, and what the API calls it.
fn kinds() -> Vec<(ToxicKind, InTheApisWords)> {
    vec![
        (ToxicKind::Latency { latency_ms: 40, jitter_ms: 5 }, ("latency", vec![("latency", 40), ("jitter", 5)])),
        (ToxicKind::Bandwidth { rate_kb_per_s: 64 }, ("bandwidth", vec![("rate", 64)])),
        (ToxicKind::SlowClose { delay_ms: 700 }, ("slow_close", vec![("delay", 700)])),
        (ToxicKind::Timeout { timeout_ms: 300 }, ("timeout", vec![("timeout", 300)])),
        (ToxicKind::ResetPeer { timeout_ms: 200 }, ("reset_peer", vec![("timeout", 200)])),
        (
            ToxicKind::Slicer { average_bytes: 100, variation_bytes: 50, delay_us: 1500 },
            ("slicer", vec![("average_size", 100), ("size_variation", 50), ("delay", 1500)]),
        ),
        (ToxicKind::LimitData { bytes: 4096 }, ("limit_data", vec![("bytes", 4096)])),
    ]
}

fn words_of(stream: Stream) -> &'static str {
    match stream {
        Stream::Upstream => "upstream",
        Stream::Downstream => "downstream",
    }
}

/// The witness is a blocking client that panics in asynchronous code, so the test is none.
#[test]
fn both_clients_read_what_the_other_injected() {
    let runtime = Runtime::new().unwrap();
    let run = format!("test-witness-{}", std::process::id());
    let ownership = Ownership::of(&run).unwrap();
    let engine = runtime.block_on(Engine::connect()).unwrap();
    let system = runtime.block_on(start(&engine, &run, ownership.label()));
    let address = system.access().address("node1", toxiproxy::API_PORT).unwrap();
    let ours = system.toxiproxy("node1").unwrap();
    for stream in [Stream::Upstream, Stream::Downstream] {
        the_witness_reads_ours(&runtime, &ours, address, stream);
        we_read_the_witness(&runtime, &ours, address, stream);
    }
    runtime.block_on(engine.sweep(Sweep::Run(&run))).unwrap();
}

async fn start(engine: &Engine, run: &str, owner: String) -> System {
    let mut topology = topology::load("single-region-fast", &[]).unwrap();
    let link = Link { from: "node1".to_owned(), to: "node2".to_owned(), shaped_ports: vec![PORT] };
    topology.links.push(link);
    let folder = tempfile::tempdir().unwrap();
    let recorder = Recorder::create(&folder.path().join("history.jsonl")).unwrap();
    let context = DrillContext::new(engine.clone(), recorder, run, owner, folder.path());
    context.start(&Plan::new(topology), 1).await.unwrap().0
}

fn listener(address: SocketAddr) -> Proxy {
    Client::new(address).find_proxy(&listener_name("node2", PORT)).unwrap()
}

fn the_witness_reads_ours(runtime: &Runtime, ours: &Toxiproxy, address: SocketAddr, stream: Stream) {
    let name = listener_name("node2", PORT);
    for (kind, (word, attributes)) in kinds() {
        let toxic = Toxic { name: format!("ours-{word}"), stream, toxicity: 0.75, kind };
        runtime.block_on(ours.add(&name, &toxic)).unwrap();
        let held: Vec<ToxicPack> = listener(address).toxics().unwrap();
        assert_eq!(held.len(), 1, "{held:?}");
        assert_eq!((held[0].name.as_str(), held[0].r#type.as_str()), (toxic.name.as_str(), word));
        assert_eq!((held[0].stream.as_str(), held[0].toxicity), (words_of(stream), 0.75), "{word}");
        let wanted: HashMap<String, u32> = attributes.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
        assert_eq!(held[0].attributes, wanted, "{word}");
        runtime.block_on(ours.remove(&name, &toxic)).unwrap();
        assert!(listener(address).toxics().unwrap().is_empty(), "{word} was not removed");
    }
}

fn we_read_the_witness(runtime: &Runtime, ours: &Toxiproxy, address: SocketAddr, stream: Stream) {
    let name = listener_name("node2", PORT);
    for (kind, (word, _)) in kinds() {
        let (proxy, way) = (listener(address), words_of(stream).to_owned());
        match kind {
            ToxicKind::Latency { .. } => proxy.with_latency(way, 40, 5, 0.5),
            ToxicKind::Bandwidth { .. } => proxy.with_bandwidth(way, 64, 0.5),
            ToxicKind::SlowClose { .. } => proxy.with_slow_close(way, 700, 0.5),
            ToxicKind::Timeout { .. } => proxy.with_timeout(way, 300, 0.5),
            ToxicKind::Slicer { .. } => proxy.with_slicer(way, 100, 50, 1500, 0.5),
            ToxicKind::LimitData { .. } => proxy.with_limit_data(way, 4096, 0.5),
            // The witness does not know it.
            ToxicKind::ResetPeer { .. } => continue,
        };
        let wanted = Toxic { name: format!("{word}_{}", words_of(stream)), stream, toxicity: 0.5, kind };
        let held = runtime.block_on(ours.toxics(&name)).unwrap();
        assert_eq!(held, [wanted], "{word}");
        proxy.delete_all_toxics().unwrap();
        assert!(runtime.block_on(ours.toxics(&name)).unwrap().is_empty(), "{word} was not removed");
    }
}
