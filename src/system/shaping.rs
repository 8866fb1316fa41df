//! Shaped links of a running system: their listeners, and the rules that lead connections to them.

use std::time::Duration;

use super::System;
use crate::{
    engine::EngineError,
    links::{
        Listener, Stream, Toxic, ToxicKind, Toxiproxy, ToxiproxyError, listener_name, listener_port, redirect_script,
    },
    plan::{RegionDelay, ShapedLink},
    services::toxiproxy,
    waiting::{NotReady, wait_until},
};

/// How long a Toxiproxy may take from its start to its first answer.
const ANSWERS_WITHIN: Duration = Duration::from_secs(20);

/// Links could not be shaped.
#[derive(Debug, thiserror::Error)]
#[doc(hidden)]
pub enum ShapingError {
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error(transparent)]
    NotReady(#[from] NotReady),
    #[error(transparent)]
    Toxiproxy(#[from] ToxiproxyError),
}

#[doc(hidden)]
impl System {
    /// The Toxiproxy of a host, if links that begin there are shaped.
    pub fn toxiproxy(&self, host: &str) -> Option<Toxiproxy> {
        let address = self.access().address(host, toxiproxy::API_PORT)?;
        Some(Toxiproxy::new(host, address, self.inner.http.clone()))
    }

    /// The address at which one host reaches another: in their region's network, or in the one that joins regions.
    pub fn address_from(&self, from: &str, to: &str) -> Option<String> {
        let pod = self.pod(to)?;
        let topology = &self.plan().topology;
        let same_region = topology.region_of(from) == topology.region_of(to);
        if same_region { Some(pod.address.clone()) } else { pod.backbone_address.clone() }
    }

    /// Leads every connection of a host's shaped links to its Toxiproxy, which runs already.
    pub(super) async fn shape_links(&self, host: &str) -> Result<(), ShapingError> {
        self.make_listeners(host).await?;
        let links: Vec<(&ShapedLink, Vec<String>)> =
            self.links_from(host).filter_map(|link| Some((link, self.pod(&link.to)?.addresses()))).collect();
        if let Some(pod) = self.pod(host) {
            pod.shell.must(&redirect_script(&links)).await?;
        }
        Ok(())
    }

    /// Makes the listeners of a host's Toxiproxy, as soon as it answers.
    pub(super) async fn make_listeners(&self, host: &str) -> Result<(), ShapingError> {
        let Some(toxiproxy) = self.toxiproxy(host) else { return Ok(()) };
        let listeners: Vec<Listener> = self.links_from(host).flat_map(|link| self.listeners(link)).collect();
        let what = format!("an answer of the Toxiproxy of {host}");
        let look = || async { toxiproxy.listeners().await.map_err(|error| error.to_string()) };
        wait_until(&what, ANSWERS_WITHIN, look).await?;
        toxiproxy.populate(&listeners).await?;
        for link in self.links_from(host) {
            let toxics = link.delay.map(region_toxics).unwrap_or_default();
            for port in &link.ports {
                for toxic in &toxics {
                    toxiproxy.add(&listener_name(&link.to, *port), toxic).await?;
                }
            }
        }
        Ok(())
    }

    fn links_from<'a>(&'a self, host: &'a str) -> impl Iterator<Item = &'a ShapedLink> {
        self.plan().links.iter().filter(move |link| link.from == host)
    }

    fn listeners(&self, link: &ShapedLink) -> Vec<Listener> {
        let Some(address) = self.address_from(&link.from, &link.to) else { return Vec::new() };
        let listener = |port: &u16| Listener {
            name: listener_name(&link.to, *port),
            listen: format!("{}:{}", link.listen, listener_port(*port)),
            upstream: format!("{address}:{port}"),
            enabled: true,
        };
        link.ports.iter().map(listener).collect()
    }
}

/// What data meets on its way between two regions, each way: these toxics stay for as long as the listener is there.
fn region_toxics(delay: RegionDelay) -> Vec<Toxic> {
    let ways = [(Stream::Upstream, "up"), (Stream::Downstream, "down")];
    let latency = ToxicKind::Latency { latency_ms: delay.one_way_ms, jitter_ms: delay.jitter_ms };
    let bandwidth = delay.bandwidth_kb_per_s.map(|rate_kb_per_s| ToxicKind::Bandwidth { rate_kb_per_s });
    let kinds = [Some(("delay", latency)), bandwidth.map(|kind| ("bandwidth", kind))];
    let toxic = |(stream, way): (Stream, &str), (what, kind): (&str, ToxicKind)| Toxic {
        name: format!("region-{what}-{way}"),
        stream,
        toxicity: 1.0,
        kind,
    };
    ways.into_iter().flat_map(|way| kinds.clone().into_iter().flatten().map(move |kind| toxic(way, kind))).collect()
}
