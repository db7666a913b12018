//! An S3 over a directory, to try and to measure with; nothing to keep anything in.
//!
//! ```sh
//! cargo run --release --example s3 -- 127.0.0.1:9000 DIRECTORY     # buckets are the directories in it
//! ```
//! Its keys are `key` and `secret`.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::pin::Pin;

use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use s3s::auth::SimpleAuth;
use s3s::dto::{
    AbortMultipartUploadInput, AbortMultipartUploadOutput, CompleteMultipartUploadInput,
    CompleteMultipartUploadOutput, CopyObjectInput, CopyObjectOutput, CreateMultipartUploadInput,
    CreateMultipartUploadOutput, DeleteObjectInput, DeleteObjectOutput, DeleteObjectsInput,
    DeleteObjectsOutput, GetBucketLocationInput, GetBucketLocationOutput, GetObjectInput,
    GetObjectOutput, HeadBucketInput, HeadBucketOutput, HeadObjectInput, HeadObjectOutput,
    ListObjectsInput, ListObjectsOutput, ListObjectsV2Input, ListObjectsV2Output, ListPartsInput,
    ListPartsOutput, Object, PutObjectInput, PutObjectOutput, Timestamp, UploadPartCopyInput,
    UploadPartCopyOutput, UploadPartInput, UploadPartOutput,
};
use s3s::service::S3ServiceBuilder;
use s3s::{S3, S3Error, S3Request, S3Response, S3Result, s3_error};
use s3s_fs::FileSystem;
use tokio::net::TcpListener;

/// A page of a listing, where nobody asks for fewer.
const PAGE: usize = 1_000;

/// The files of s3s, but for listings: it walks all of a bucket for each page, which takes hours for some 100,000 objects.
struct Files {
    files: FileSystem,
    directory: PathBuf,
}

/// What `S3` is once `async_trait` wrote it out.
type Answer<'a, T> = Pin<Box<dyn Future<Output = S3Result<S3Response<T>>> + Send + 'a>>;

macro_rules! by_s3s {
    ($($operation:ident: $input:ident -> $output:ident;)*) => {$(
        fn $operation<'a, 'b>(&'a self, request: S3Request<$input>) -> Answer<'b, $output>
        where
            'a: 'b,
            Self: 'b,
        {
            self.files.$operation(request)
        }
    )*};
}

impl S3 for Files {
    by_s3s! {
        abort_multipart_upload: AbortMultipartUploadInput -> AbortMultipartUploadOutput;
        complete_multipart_upload: CompleteMultipartUploadInput -> CompleteMultipartUploadOutput;
        copy_object: CopyObjectInput -> CopyObjectOutput;
        create_multipart_upload: CreateMultipartUploadInput -> CreateMultipartUploadOutput;
        delete_object: DeleteObjectInput -> DeleteObjectOutput;
        delete_objects: DeleteObjectsInput -> DeleteObjectsOutput;
        get_bucket_location: GetBucketLocationInput -> GetBucketLocationOutput;
        get_object: GetObjectInput -> GetObjectOutput;
        head_bucket: HeadBucketInput -> HeadBucketOutput;
        head_object: HeadObjectInput -> HeadObjectOutput;
        list_objects: ListObjectsInput -> ListObjectsOutput;
        list_parts: ListPartsInput -> ListPartsOutput;
        put_object: PutObjectInput -> PutObjectOutput;
        upload_part: UploadPartInput -> UploadPartOutput;
        upload_part_copy: UploadPartCopyInput -> UploadPartCopyOutput;
    }

    fn list_objects_v2<'a, 'b>(
        &'a self,
        request: S3Request<ListObjectsV2Input>,
    ) -> Answer<'b, ListObjectsV2Output>
    where
        'a: 'b,
        Self: 'b,
    {
        if request.input.delimiter.is_some() {
            return self.files.list_objects_v2(request);
        }
        let bucket = self.directory.join(&request.input.bucket);
        Box::pin(async move {
            if !bucket.is_dir() {
                return Err(s3_error!(NoSuchBucket));
            }
            let listed = tokio::task::spawn_blocking(move || list(&bucket, request.input)).await;
            let listed = listed.map_err(S3Error::internal_error)?;
            Ok(S3Response::new(listed.map_err(S3Error::internal_error)?))
        })
    }
}

fn list(bucket: &Path, input: ListObjectsV2Input) -> io::Result<ListObjectsV2Output> {
    let asked = input.max_keys.and_then(|keys| usize::try_from(keys).ok());
    let mut page = Page {
        prefix: input.prefix.clone().unwrap_or_default(),
        after: input
            .continuation_token
            .clone()
            .max(input.start_after.clone())
            .unwrap_or_default(),
        objects: Vec::new(),
        objects_max: asked.map_or(PAGE, |keys| keys.min(PAGE)),
        is_truncated: false,
    };
    page.visit(bucket, "")?;
    let last = page.objects.last().and_then(|object| object.key.clone());
    Ok(ListObjectsV2Output {
        key_count: i32::try_from(page.objects.len()).ok(),
        max_keys: i32::try_from(page.objects_max).ok(),
        is_truncated: Some(page.is_truncated),
        contents: Some(page.objects),
        next_continuation_token: last.filter(|_| page.is_truncated),
        continuation_token: input.continuation_token,
        name: Some(input.bucket),
        prefix: input.prefix,
        start_after: input.start_after,
        ..ListObjectsV2Output::default()
    })
}

/// A walk in the order of keys that looks into no directory in vain.
struct Page {
    prefix: String,
    /// The last key of the page before.
    after: String,
    objects: Vec<Object>,
    objects_max: usize,
    is_truncated: bool,
}

impl Page {
    fn visit(&mut self, directory: &Path, above: &str) -> io::Result<()> {
        let mut keys = Vec::new();
        let entries = match fs::read_dir(directory) {
            // It was removed meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            found => found?,
        };
        for entry in entries {
            let entry = entry?;
            let slash = if entry.file_type()?.is_dir() { "/" } else { "" };
            keys.push(format!(
                "{above}{}{slash}",
                entry.file_name().to_string_lossy()
            ));
        }
        keys.sort_unstable();
        for key in keys {
            let path = directory.join(&key[above.len()..]);
            if key.ends_with('/') {
                let is_behind = self.after < key || self.after.starts_with(&key);
                let is_within = key.starts_with(&self.prefix) || self.prefix.starts_with(&key);
                if is_behind && is_within {
                    self.visit(&path, &key)?;
                }
            } else if self.after < key && key.starts_with(&self.prefix) {
                self.is_truncated = self.objects.len() == self.objects_max;
                if !self.is_truncated {
                    self.push(&path, key)?;
                }
            }
            if self.is_truncated {
                return Ok(());
            }
        }
        Ok(())
    }

    fn push(&mut self, path: &Path, key: String) -> io::Result<()> {
        let metadata = match path.metadata() {
            // It was removed meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            found => found?,
        };
        self.objects.push(Object {
            key: Some(key),
            last_modified: Some(Timestamp::from(metadata.modified()?)),
            size: i64::try_from(metadata.len()).ok(),
            ..Object::default()
        });
        Ok(())
    }
}

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let (Some(address), Some(directory)) = (arguments.next(), arguments.next()) else {
        eprintln!("usage: s3 ADDRESS DIRECTORY");
        std::process::exit(2);
    };
    let address: SocketAddr = address.parse().expect("an address, as 127.0.0.1:9000");
    let directory = PathBuf::from(directory);
    let files = FileSystem::new(&directory).expect("a directory");
    let files = Files { files, directory };
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
