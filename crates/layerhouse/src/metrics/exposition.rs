//! The numbers as text: OpenMetrics, or the older form that every Prometheus reads.

use std::fmt::{self, Write as _};
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

use super::labels::Route;
use super::mirror::UpstreamNumbers;
use super::tally::Distribution;
use super::{
    BlobCacheState, CollectionNumbers, METHODS, Metrics, STATUSES, ScrubNumbers, StorageActions,
};

/// How the text is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// Prometheus's text format 0.0.4.
    Text,
    /// OpenMetrics 1.0.
    OpenMetrics,
}

impl Format {
    /// The format for a client with this `Accept`.
    pub(crate) fn wanted(accept: Option<&str>) -> Self {
        match accept {
            Some(accept) if accept.contains("application/openmetrics-text") => Self::OpenMetrics,
            _ => Self::Text,
        }
    }

    pub(crate) fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// Everything that is told at one moment: what was counted, and what is looked up when asked.
#[derive(Clone, Debug)]
pub(crate) struct Scrape {
    pub(crate) metrics: Arc<Metrics>,
    /// By registry:2's name of the driver: of the data directory, and of the object stores of each kind.
    pub(crate) storage: Vec<(&'static str, Arc<StorageActions>)>,
    pub(crate) scrub: Arc<ScrubNumbers>,
    pub(crate) collection: Arc<CollectionNumbers>,
    pub(crate) uploads_active: u64,
    /// Absent if the disk does not answer.
    pub(crate) storage_free_bytes: Option<u64>,
    /// Absent if the database does not answer.
    pub(crate) repositories: Option<u64>,
    pub(crate) tags: Option<u64>,
    /// What retention removed since the start.
    pub(crate) retention_tags: u64,
    pub(crate) retention_manifests: u64,
    /// Absent without a cache of blobs.
    pub(crate) blob_cache: Option<BlobCacheState>,
    /// Of the mirror's; empty without one.
    pub(crate) upstreams: Vec<UpstreamNumbers>,
    pub(crate) failing_checks: u64,
    /// In the order of [`labels::STANDBY_READS`](super::labels::STANDBY_READS).
    pub(crate) standby_reads: [u64; 3],
    pub(crate) access_lines_dropped: u64,
}

impl Scrape {
    /// The whole text.
    pub(crate) fn write(self, format: Format) -> String {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(self));
        let mut written = String::new();
        // Writing to a string does not fail.
        let _ = text::encode(&mut written, &registry);
        match format {
            Format::OpenMetrics => written,
            Format::Text => with_full_names(&written),
        }
    }
}

/// OpenMetrics calls a family of counters `requests` and its samples `requests_total`; before it, both
/// had the name of the samples.
fn with_full_names(openmetrics: &str) -> String {
    let mut text = String::with_capacity(openmetrics.len());
    let mut lines = openmetrics.lines().peekable();
    let mut add =
        |line: &str, is_counter: bool| match line.splitn(4, ' ').collect::<Vec<_>>().as_slice() {
            [mark, keyword, name, rest] if is_counter => {
                let _ = writeln!(text, "{mark} {keyword} {name}_total {rest}");
            }
            _ => {
                text.push_str(line);
                text.push('\n');
            }
        };
    while let Some(line) = lines.next() {
        let is_type = |line: &str| line.starts_with("# TYPE ") && line.ends_with(" counter");
        let is_counter = line.starts_with("# ")
            && (is_type(line)
                || line.starts_with("# HELP ") && lines.peek().is_some_and(|next| is_type(next)));
        if line != "# EOF" {
            add(line, is_counter);
        }
    }
    text
}

impl Collector for Scrape {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut writer = Writer(encoder);
        self.own(&mut writer)?;
        self.of_requests(&mut writer)?;
        self.of_registry2(&mut writer)?;
        self.of_blob_cache(&mut writer)?;
        self.of_mirror(&mut writer)?;
        self.of_notifications(&mut writer)
    }
}

/// Label names with their values.
pub(super) type Labels<'a, const N: usize> = [(&'static str, &'a str); N];

/// Writes families, each with its samples.
pub(super) struct Writer<'a>(DescriptorEncoder<'a>);

impl Writer<'_> {
    fn family(
        &mut self,
        name: &str,
        help: &str,
        kind: MetricType,
        write: impl FnOnce(&mut MetricEncoder<'_>) -> fmt::Result,
    ) -> fmt::Result {
        write(&mut self.0.encode_descriptor(name, help, None, kind)?)
    }

    /// Counters; the names have no `_total` here.
    pub(super) fn counters<'a, const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = (Labels<'a, N>, u64)>,
    ) -> fmt::Result {
        self.family(name, help, MetricType::Counter, |family| {
            for (labels, value) in samples {
                family
                    .encode_family(&labels)?
                    .encode_counter::<NoLabelSet, _, f64>(&value, None)?;
            }
            Ok(())
        })
    }

    pub(super) fn counter(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        self.family(name, help, MetricType::Counter, |family| {
            family.encode_counter::<NoLabelSet, _, f64>(&value, None)
        })
    }

    pub(super) fn gauges<'a, const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = (Labels<'a, N>, u64)>,
    ) -> fmt::Result {
        self.family(name, help, MetricType::Gauge, |family| {
            for (labels, value) in samples {
                family.encode_family(&labels)?.encode_gauge(&value)?;
            }
            Ok(())
        })
    }

    /// A gauge that is there if its value is known.
    pub(super) fn gauge(&mut self, name: &str, help: &str, value: Option<i64>) -> fmt::Result {
        let Some(value) = value else { return Ok(()) };
        self.family(name, help, MetricType::Gauge, |family| {
            family.encode_gauge(&value)
        })
    }

    /// A histogram that is there once something was observed.
    pub(super) fn histogram(&mut self, name: &str, help: &str, read: &Distribution) -> fmt::Result {
        if read.count == 0 {
            return Ok(());
        }
        self.family(name, help, MetricType::Histogram, |family| {
            family.encode_histogram::<NoLabelSet>(read.sum, read.count, &read.buckets, None)
        })
    }

    pub(super) fn histograms<'a, const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = (Labels<'a, N>, Distribution)>,
    ) -> fmt::Result {
        self.family(name, help, MetricType::Histogram, |family| {
            for (labels, read) in samples.into_iter().filter(|(_, read)| 0 < read.count) {
                family
                    .encode_family(&labels)?
                    .encode_histogram::<NoLabelSet>(read.sum, read.count, &read.buckets, None)?;
            }
            Ok(())
        })
    }
}

impl Scrape {
    pub(super) fn some_requests(&self, route: Route, method: usize, status: usize) -> Option<u64> {
        Some(self.metrics.requests(route, method, status)).filter(|count| 0 < *count)
    }

    pub(super) fn duration(&self, route: Route, method: usize) -> Distribution {
        self.metrics.durations[route as usize * METHODS + method].read(1e9)
    }
}

pub(super) fn each_method() -> impl Iterator<Item = (Route, usize)> {
    let routes = Route::ALL.into_iter();
    routes.flat_map(|route| (0..METHODS).map(move |method| (route, method)))
}

pub(super) fn each_status() -> impl Iterator<Item = (Route, usize, usize)> {
    each_method()
        .flat_map(|(route, method)| (0..STATUSES).map(move |status| (route, method, status)))
}

/// [`labels::STATUSES`] as text.
pub(super) const CODES: [&str; STATUSES] = [
    "0", "200", "201", "202", "204", "206", "301", "302", "303", "304", "307", "400", "401", "403",
    "404", "405", "406", "408", "409", "412", "413", "414", "415", "416", "422", "429", "431",
    "499", "500", "502", "503", "507",
];

#[cfg(test)]
mod tests {
    use super::super::labels;
    use super::*;

    #[test]
    fn codes_are_the_statuses() {
        let statuses: Vec<String> = labels::STATUSES.iter().map(u16::to_string).collect();
        assert_eq!(statuses, CODES);
    }

    #[test]
    fn before_openmetrics_counters_had_one_name() {
        let openmetrics = "# HELP a_b Words about it.\n# TYPE a_b counter\na_b_total 1\n\
                           # HELP c Words counter\n# TYPE c gauge\nc 2\n# EOF\n";
        assert_eq!(
            with_full_names(openmetrics),
            "# HELP a_b_total Words about it.\n# TYPE a_b_total counter\na_b_total 1\n\
             # HELP c Words counter\n# TYPE c gauge\nc 2\n"
        );
        assert_eq!(Format::wanted(None), Format::Text);
        let accept = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5";
        assert_eq!(Format::wanted(Some(accept)), Format::OpenMetrics);
    }
}
