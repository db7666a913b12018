//! A bucket of an S3 within the test's process: s3s over a directory, which fails when a test tells it to. Google's
//! storage takes the same requests, and wants to be shown something else.

use std::convert::Infallible;
use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt, Either, Empty};
use hyper::body::Incoming;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s_fs::FileSystem;
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::watch;

use super::google;
use super::images;

const NAME: &str = "images";
/// What a server shows to Google's storage.
const KEY_FILE: &str = "account.json";

/// A bucket; it is gone when it is dropped.
pub(crate) struct Bucket {
    directory: TempDir,
    address: SocketAddr,
    kind: Kind,
    orders: Arc<Mutex<Orders>>,
    _runtime: Runtime,
}

/// Whose it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    S3,
    Google,
}

#[derive(Debug, Default)]
struct Orders {
    /// Requests whose method and target begin so, and have this in them, are answered 503.
    refused: Option<(String, String, usize)>,
    /// Those that begin so wait until whoever holds them is gone.
    held: Option<(&'static str, watch::Receiver<()>)>,
    /// The next request that begins so is done, and answered 503.
    lost: Option<&'static str>,
    /// Method and path of what came.
    came: Vec<String>,
}

/// Requests that a store does not go on with while this is there.
pub(crate) struct Held(#[expect(dead_code, reason = "its end is what counts")] watch::Sender<()>);

/// Whether all servers are given a bucket (`LAYERHOUSE_TEST_STORE=s3`) whose configuration does not say where their bytes
/// are. What looks at files, or lets a clock run on without waiting for what is written, has nothing to do there.
pub(crate) fn is_given() -> bool {
    std::env::var_os("LAYERHOUSE_TEST_STORE").is_some_and(|store| store == "s3")
}

impl Bucket {
    pub(crate) fn start() -> Self {
        Self::of(Kind::S3)
    }

    /// One of Google's.
    pub(crate) fn of_google() -> Self {
        Self::of(Kind::Google)
    }

    fn of(kind: Kind) -> Self {
        let directory = TempDir::new().expect("a temporary directory");
        fs::create_dir(directory.path().join(NAME)).expect("it can be written");
        let files = FileSystem::new(directory.path()).expect("a store");
        let mut builder = S3ServiceBuilder::new(files);
        if kind == Kind::S3 {
            builder.set_auth(SimpleAuth::from_single("key", "secret"));
        }
        let service = builder.build();
        let orders = Arc::<Mutex<Orders>>::default();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("threads for a runtime");
        let listener = TcpListener::bind("127.0.0.1:0");
        let listener = runtime.block_on(listener).expect("a free port");
        let address = listener.local_addr().expect("it listens");
        runtime.spawn(listen(listener, kind, service, Arc::clone(&orders)));
        let key = google::key_file(&format!("http://{address}"));
        fs::write(directory.path().join(KEY_FILE), key).expect("it can be written");
        Self {
            directory,
            address,
            kind,
            orders,
            _runtime: runtime,
        }
    }

    /// What a server's configuration says of it, in YAML; `more` are further lines below `storage`.
    pub(crate) fn configuration(&self, more: &str) -> String {
        let address = self.address;
        if self.kind == Kind::Google {
            let key = self.directory.path().join(KEY_FILE);
            return format!(
                "storage:\n  gcs:\n    bucket: {NAME}\n    keyfile: {}\n    rootdirectory: /of/registry\n  {more}",
                key.display()
            );
        }
        format!(
            "storage:\n  s3:\n    bucket: {NAME}\n    region: us-east-1\n    accesskey: key\n    secretkey: secret\n    \
             regionendpoint: http://{address}\n    chunksize: 5242880\n    rootdirectory: /of/registry\n  {more}"
        )
    }

    /// An entry of `layerhouse.stores` in YAML, on a line: a directory of this bucket, called so.
    pub(crate) fn store(&self, name: &str, repositories: &str) -> String {
        let address = self.address;
        assert_eq!(self.kind, Kind::S3, "its keys are written here");
        format!(
            "{{name: {name}, repositories: {repositories}, redirect: {{disable: true}}, s3: {{bucket: {NAME}, \
             region: us-east-1, accesskey: key, secretkey: secret, regionendpoint: 'http://{address}', \
             chunksize: 5242880, rootdirectory: of/{name}}}}}"
        )
    }

    /// The keys of all objects that are bytes of blobs in such a directory.
    pub(crate) fn keys_of(&self, name: &str) -> Vec<String> {
        let mut keys = self.keys();
        keys.retain(|key| key.starts_with(&format!("of/{name}/")));
        keys
    }

    /// The same as variables, with pulls that come from us.
    pub(crate) fn variables(&self) -> Vec<(&'static str, String)> {
        let said = [
            ("REGISTRY_STORAGE_S3_BUCKET", NAME),
            ("REGISTRY_STORAGE_S3_REGION", "us-east-1"),
            ("REGISTRY_STORAGE_S3_ACCESSKEY", "key"),
            ("REGISTRY_STORAGE_S3_SECRETKEY", "secret"),
            ("REGISTRY_STORAGE_S3_CHUNKSIZE", "5242880"),
            ("REGISTRY_STORAGE_S3_ROOTDIRECTORY", "/of/registry"),
            ("REGISTRY_STORAGE_REDIRECT_DISABLE", "true"),
        ];
        let mut all: Vec<_> = said.map(|(name, value)| (name, value.to_owned())).into();
        all.push((
            "REGISTRY_STORAGE_S3_REGIONENDPOINT",
            format!("http://{}", self.address),
        ));
        all
    }

    /// The keys of all objects that are bytes of blobs.
    pub(crate) fn keys(&self) -> Vec<String> {
        let root = self.directory.path().join(NAME);
        let (mut open, mut keys) = (vec![root.clone()], Vec::new());
        while let Some(path) = open.pop() {
            if path.is_dir() {
                let entries = fs::read_dir(&path).expect("a directory");
                open.extend(entries.map(|entry| entry.expect("an entry").path()));
            } else {
                let key = path.strip_prefix(&root).expect("it is below");
                let key = key.to_string_lossy().into_owned();
                if !key.ends_with("layerhouse/registry") {
                    keys.push(key);
                }
            }
        }
        keys.sort();
        keys
    }

    /// Whether an object is what a digest says.
    pub(crate) fn holds(&self, digest: &str) -> bool {
        let mut keys = self.keys().into_iter();
        // One may go while it is looked at.
        keys.any(|key| {
            fs::read(self.path(&key)).is_ok_and(|content| images::digest(content) == digest)
        })
    }

    /// The file that is an object.
    pub(crate) fn path(&self, key: &str) -> PathBuf {
        self.directory.path().join(NAME).join(key)
    }

    /// Writes an object behind everybody's back.
    pub(crate) fn put(&self, key: &str, content: impl AsRef<[u8]>) {
        let path = self.path(key);
        fs::create_dir_all(path.parent().expect("it has one")).expect("it can be written");
        fs::write(path, content).expect("it can be written");
    }

    /// How many uploads in parts were begun and neither completed nor given up.
    pub(crate) fn open_parts(&self) -> usize {
        let entries = fs::read_dir(self.directory.path()).expect("a directory");
        let names = entries.map(|entry| entry.expect("an entry").file_name());
        let names = names.map(|name| name.to_string_lossy().into_owned());
        names.filter(|name| name.starts_with(".upload-")).count()
    }

    /// From now on requests that begin so ("PUT /images/") are answered 503, so many of them.
    pub(crate) fn refuse(&self, beginning: &str, times: usize) {
        self.orders().refused = Some((beginning.to_owned(), String::new(), times));
    }

    /// From now on parts of this number, from 1, are answered 503.
    pub(crate) fn refuse_part(&self, number: usize) {
        let part = format!("partNumber={number}&");
        self.orders().refused = Some(("PUT /images/".to_owned(), part, usize::MAX));
    }

    /// From now on requests that begin so come and are not done, until what this gives is dropped.
    pub(crate) fn hold(&self, beginning: &'static str) -> Held {
        let (held, waiting) = watch::channel(());
        let mut orders = self.orders();
        orders.held = Some((beginning, waiting));
        orders.came.clear();
        Held(held)
    }

    /// Waits until so many came that begin so.
    pub(crate) fn wait_for(&self, beginning: &str, count: usize) {
        let began = Instant::now();
        loop {
            let came = self.orders().came.clone();
            let found = came.iter().filter(|target| target.starts_with(beginning));
            if count <= found.count() {
                return;
            }
            assert!(began.elapsed() < Duration::from_secs(30), "{came:?}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// The next request that begins so is done, and whoever sent it is told that it failed.
    pub(crate) fn lose_answer(&self, beginning: &'static str) {
        self.orders().lost = Some(beginning);
    }

    /// All is well again.
    pub(crate) fn mend(&self) {
        self.orders().refused = None;
    }

    /// Requests that came since the last call, by method and target.
    pub(crate) fn came(&self) -> Vec<String> {
        std::mem::take(&mut self.orders().came)
    }

    fn orders(&self) -> std::sync::MutexGuard<'_, Orders> {
        self.orders.lock().expect("nobody panicked with it")
    }
}

async fn listen(listener: TcpListener, kind: Kind, service: S3Service, orders: Arc<Mutex<Orders>>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            return;
        };
        tokio::spawn(serve(stream, kind, service.clone(), Arc::clone(&orders)));
    }
}

async fn serve(stream: TcpStream, kind: Kind, service: S3Service, orders: Arc<Mutex<Orders>>) {
    let _ = stream.set_nodelay(true);
    let answer = hyper::service::service_fn(move |mut request: Request<Incoming>| {
        let (service, orders) = (service.clone(), Arc::clone(&orders));
        async move {
            let target = format!("{} {}", request.method(), request.uri());
            let (is_refused, is_lost, held) = {
                let mut orders = orders.lock().expect("nobody panicked with it");
                orders.came.push(target.clone());
                let is_refused = match &mut orders.refused {
                    Some((beginning, within, times))
                        if 0 < *times
                            && target.starts_with(&**beginning)
                            && target.contains(&**within) =>
                    {
                        *times -= 1;
                        true
                    }
                    _ => false,
                };
                let is_lost = orders.lost.is_some_and(|lost| target.starts_with(lost));
                if is_lost {
                    orders.lost = None;
                }
                let held = orders.held.clone();
                let held = held.filter(|(beginning, _)| target.starts_with(beginning));
                (is_refused, is_lost, held)
            };
            if let Some((_, mut held)) = held {
                // An error is that nobody holds it.
                let _ = held.changed().await;
            }
            let refused = |status| {
                let mut answer = Response::new(Either::Left(Empty::<Bytes>::new()));
                *answer.status_mut() = status;
                answer
            };
            if is_refused {
                return Ok::<_, Infallible>(refused(http::StatusCode::SERVICE_UNAVAILABLE));
            }
            if kind == Kind::Google && !google::admit(&mut request) {
                return Ok(refused(http::StatusCode::FORBIDDEN));
            }
            Ok(match service.call(request.map(s3s::Body::from)).await {
                // A body of S3's is made while it is read.
                Ok(answer) if is_lost => {
                    let _ = answer.into_body().collect().await;
                    refused(http::StatusCode::SERVICE_UNAVAILABLE)
                }
                // Of parts that it does not know it says 403, where S3 and Google say that there are none.
                Ok(answer)
                    if answer.status() == http::StatusCode::FORBIDDEN
                        && target.contains("uploadId=") =>
                {
                    refused(http::StatusCode::NOT_FOUND)
                }
                Ok(answer) => answer.map(Either::Right),
                Err(_) => refused(http::StatusCode::SERVICE_UNAVAILABLE),
            })
        }
    });
    let _ = Builder::new(TokioExecutor::new())
        .serve_connection(TokioIo::new(stream), answer)
        .await;
}
