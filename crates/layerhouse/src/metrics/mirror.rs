//! What the mirror did, by upstream; and under the names of registry:3, which counts what its proxy does.

use std::fmt;

use super::exposition::{Scrape, Writer};

/// Numbers of one upstream, from the start.
#[derive(Clone, Debug, Default)]
pub(crate) struct UpstreamNumbers {
    /// As the configuration calls it.
    pub(crate) name: String,
    /// Questions that it was asked, and those of them that brought no answer.
    pub(crate) requests: u64,
    pub(crate) failures: u64,
    /// Of the bodies of its answers.
    pub(crate) received_bytes: u64,
    /// It is not asked for anything for now.
    pub(crate) is_closed: bool,
    /// How often it may be asked, and how often still, when it last said so.
    pub(crate) rate_limit: Option<(u64, u64)>,
    pub(crate) manifests: Served,
    pub(crate) blobs: Served,
    /// Requests of clients that could not be answered.
    pub(crate) unanswered: u64,
    /// Of blobs, to clients.
    pub(crate) sent_bytes: u64,
    /// Of blobs, from it.
    pub(crate) fetched_bytes: u64,
    /// Of blobs, from another process, which fetched them.
    pub(crate) relayed_bytes: u64,
    /// Of blobs that its copies need; absent before the first look.
    pub(crate) copies_bytes: Option<u64>,
}

/// How clients were served.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Served {
    /// From a copy.
    pub(crate) hits: u64,
    /// After it was fetched.
    pub(crate) misses: u64,
    /// From a copy that could not be compared with the upstream.
    pub(crate) stale: u64,
    /// While it was fetched for another client.
    pub(crate) shared: u64,
}

impl Scrape {
    /// Nothing, without a mirror.
    pub(super) fn of_mirror(&self, writer: &mut Writer<'_>) -> fmt::Result {
        if self.upstreams.is_empty() {
            return Ok(());
        }
        self.of_upstreams(writer)?;
        self.of_copies(writer)?;
        self.of_registry3_proxy(writer)
    }

    fn of_upstreams(&self, writer: &mut Writer<'_>) -> fmt::Result {
        let each = || self.upstreams.iter();
        writer.counters(
            "layerhouse_proxy_requests",
            "Questions that upstreams were asked.",
            each().flat_map(|upstream| {
                let answered = upstream.requests.saturating_sub(upstream.failures);
                let results = [("answered", answered), ("failed", upstream.failures)];
                results.map(|(result, count)| {
                    let labels = [("upstream", upstream.name.as_str()), ("result", result)];
                    (labels, count)
                })
            }),
        )?;
        writer.counters(
            "layerhouse_proxy_received_bytes",
            "Bytes that upstreams answered.",
            each().map(|upstream| {
                let labels = [("upstream", upstream.name.as_str())];
                (labels, upstream.received_bytes)
            }),
        )?;
        writer.gauges(
            "layerhouse_proxy_closed",
            "Whether an upstream is left alone, for it failed or said so.",
            each().map(|upstream| {
                let labels = [("upstream", upstream.name.as_str())];
                (labels, upstream.is_closed.into())
            }),
        )?;
        let limited = || each().filter_map(|one| Some((one.name.as_str(), one.rate_limit?)));
        if limited().next().is_none() {
            return Ok(());
        }
        writer.gauges(
            "layerhouse_proxy_ratelimit_limit",
            "How often an upstream may be asked, when it last said so.",
            limited().map(|(name, (limit, _))| ([("upstream", name)], limit)),
        )?;
        writer.gauges(
            "layerhouse_proxy_ratelimit_remaining",
            "How often it may still be asked, when it last said so.",
            limited().map(|(name, (_, remaining))| ([("upstream", name)], remaining)),
        )
    }

    fn of_copies(&self, writer: &mut Writer<'_>) -> fmt::Result {
        let each = || self.upstreams.iter();
        writer.counters(
            "layerhouse_proxy_pulls",
            "What clients were sent of upstreams: from a copy, fetched, stale, or while it was fetched for \
             another.",
            each().flat_map(|upstream| {
                let kinds = [("manifest", upstream.manifests), ("blob", upstream.blobs)];
                kinds.into_iter().flat_map(move |(kind, served)| {
                    served.results().into_iter().map(move |(result, count)| {
                        let labels = [
                            ("upstream", upstream.name.as_str()),
                            ("type", kind),
                            ("result", result),
                        ];
                        (labels, count)
                    })
                })
            }),
        )?;
        writer.counters(
            "layerhouse_proxy_unanswered",
            "Requests of clients that could not be answered.",
            each().map(|upstream| {
                let labels = [("upstream", upstream.name.as_str())];
                (labels, upstream.unanswered)
            }),
        )?;
        let kept =
            each().filter_map(|one| Some(([("upstream", one.name.as_str())], one.copies_bytes?)));
        if kept.clone().next().is_some() {
            writer.gauges(
                "layerhouse_proxy_copies_bytes",
                "Bytes of blobs that are kept of upstreams.",
                kept,
            )?;
        }
        writer.counters(
            "layerhouse_proxy_sent_bytes",
            "Bytes of blobs of upstreams for clients.",
            each().map(|upstream| {
                let labels = [("upstream", upstream.name.as_str())];
                (labels, upstream.sent_bytes)
            }),
        )?;
        writer.counters(
            "layerhouse_proxy_relayed_bytes",
            "Bytes of blobs of upstreams that another process fetched and sent.",
            each().map(|upstream| {
                let labels = [("upstream", upstream.name.as_str())];
                (labels, upstream.relayed_bytes)
            }),
        )
    }

    /// registry:3 counts over all that it does; who reads a blob while it is fetched is a hit, for the upstream
    /// was not asked for them.
    fn of_registry3_proxy(&self, writer: &mut Writer<'_>) -> fmt::Result {
        let sum =
            |count: fn(&UpstreamNumbers) -> u64| self.upstreams.iter().map(count).sum::<u64>();
        let kinds = [
            (
                "blob",
                sum(|upstream| upstream.blobs.all_hits()),
                sum(|upstream| upstream.blobs.misses),
            ),
            (
                "manifest",
                sum(|upstream| upstream.manifests.all_hits()),
                sum(|upstream| upstream.manifests.misses),
            ),
        ];
        writer.counters(
            "registry_proxy_requests",
            "The number of total incoming proxy request received",
            kinds.map(|(kind, hits, misses)| ([("type", kind)], hits + misses)),
        )?;
        writer.counters(
            "registry_proxy_hits",
            "The number of proxy request hits",
            kinds.map(|(kind, hits, _)| ([("type", kind)], hits)),
        )?;
        writer.counters(
            "registry_proxy_misses",
            "The number of proxy request misses",
            kinds.map(|(kind, _, misses)| ([("type", kind)], misses)),
        )?;
        let blob = [("type", "blob")];
        writer.counters(
            "registry_proxy_pulled_bytes",
            "The size of total bytes pulled from the upstream",
            [(blob, sum(|upstream| upstream.fetched_bytes))],
        )?;
        writer.counters(
            "registry_proxy_pushed_bytes",
            "The size of total bytes pushed to the client",
            [(blob, sum(|upstream| upstream.sent_bytes))],
        )
    }
}

impl Served {
    fn results(self) -> [(&'static str, u64); 4] {
        [
            ("hit", self.hits),
            ("miss", self.misses),
            ("stale", self.stale),
            ("shared", self.shared),
        ]
    }

    fn all_hits(self) -> u64 {
        self.hits + self.stale + self.shared
    }
}
