//! An S3 over a directory, to try and to measure with; nothing to keep anything in.
//!
//! ```sh
//! cargo run --release --example s3 -- 127.0.0.1:9000 DIRECTORY     # buckets are the directories in it
//! ```
//! Its keys are `key` and `secret`.

use std::net::SocketAddr;
use std::path::PathBuf;

use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use s3s::auth::SimpleAuth;
use s3s::service::S3ServiceBuilder;
use s3s_fs::FileSystem;
use tokio::net::TcpListener;

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let (Some(address), Some(directory)) = (arguments.next(), arguments.next()) else {
        eprintln!("usage: s3 ADDRESS DIRECTORY");
        std::process::exit(2);
    };
    let address: SocketAddr = address.parse().expect("an address, as 127.0.0.1:9000");
    let files = FileSystem::new(PathBuf::from(directory)).expect("a directory");
    let mut builder = S3ServiceBuilder::new(files);
    builder.set_auth(SimpleAuth::from_single("key", "secret"));
    let service = builder.build();
    let listener = TcpListener::bind(address).await.expect("a free port");
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            continue;
        };
        let _ = stream.set_nodelay(true);
        let service = service.clone();
        tokio::spawn(async move {
            let _ = Builder::new(TokioExecutor::new())
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}
