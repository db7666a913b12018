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
    AbortMultipartUploadInput, AbortMultipartUploadOutput, CommonPrefix,
    CompleteMultipartUploadInput, CompleteMultipartUploadOutput, CopyObjectInput, CopyObjectOutput,
    CreateMultipartUploadInput, CreateMultipartUploadOutput, DeleteObjectInput, DeleteObjectOutput,
    DeleteObjectsInput, DeleteObjectsOutput, GetBucketLocationInput, GetBucketLocationOutput,
    GetObjectInput, GetObjectOutput, HeadBucketInput, HeadBucketOutput, HeadObjectInput,
    HeadObjectOutput, ListObjectsInput, ListObjectsOutput, ListObjectsV2Input, ListObjectsV2Output,
    ListPartsInput, ListPartsOutput, Object, PutObjectInput, PutObjectOutput, Timestamp,
    UploadPartCopyInput, UploadPartCopyOutput, UploadPartInput, UploadPartOutput,
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
        let bucket = self.directory.join(&request.input.bucket);
        Box::pin(async move { Ok(S3Response::new(list(bucket, request.input).await?)) })
    }

    fn list_objects<'a, 'b>(
        &'a self,
        request: S3Request<ListObjectsInput>,
    ) -> Answer<'b, ListObjectsOutput>
    where
        'a: 'b,
        Self: 'b,
    {
        let input = ListObjectsV2Input::from(request.input);
        let bucket = self.directory.join(&input.bucket);
        Box::pin(async move {
            let marker = input.start_after.clone();
            let listed = list(bucket, input).await?;
            Ok(S3Response::new(ListObjectsOutput {
                common_prefixes: listed.common_prefixes,
                contents: listed.contents,
                delimiter: listed.delimiter,
                is_truncated: listed.is_truncated,
                marker,
                max_keys: listed.max_keys,
                name: listed.name,
                next_marker: listed.next_continuation_token,
                prefix: listed.prefix,
                ..ListObjectsOutput::default()
            }))
        })
    }
}

async fn list(bucket: PathBuf, input: ListObjectsV2Input) -> S3Result<ListObjectsV2Output> {
    if input.delimiter.as_deref().is_some_and(|text| text != "/") {
        return Err(s3_error!(NotImplemented, "the delimiter is a slash"));
    }
    if !bucket.is_dir() {
        return Err(s3_error!(NoSuchBucket));
    }
    let listed = tokio::task::spawn_blocking(move || page_of(&bucket, input)).await;
    let listed = listed.map_err(S3Error::internal_error)?;
    listed.map_err(S3Error::internal_error)
}

fn page_of(bucket: &Path, input: ListObjectsV2Input) -> io::Result<ListObjectsV2Output> {
    let asked = input.max_keys.and_then(|keys| usize::try_from(keys).ok());
    let mut page = Page {
        prefix: input.prefix.clone().unwrap_or_default(),
        after: input
            .continuation_token
            .clone()
            .max(input.start_after.clone())
            .unwrap_or_default(),
        is_delimited: input.delimiter.is_some(),
        objects: Vec::new(),
        prefixes: Vec::new(),
        last: None,
        keys_max: asked.map_or(PAGE, |keys| keys.min(PAGE)),
        is_truncated: false,
    };
    page.visit(bucket, "")?;
    Ok(ListObjectsV2Output {
        key_count: i32::try_from(page.keys()).ok(),
        max_keys: i32::try_from(page.keys_max).ok(),
        is_truncated: Some(page.is_truncated),
        contents: Some(page.objects),
        common_prefixes: Some(page.prefixes),
        next_continuation_token: page.last.filter(|_| page.is_truncated),
        continuation_token: input.continuation_token,
        delimiter: input.delimiter,
        name: Some(input.bucket),
        prefix: input.prefix,
        start_after: input.start_after,
        ..ListObjectsV2Output::default()
    })
}

/// A walk in the order of keys that looks into no directory in vain.
struct Page {
    prefix: String,
    /// The last key or common prefix of the page before.
    after: String,
    /// What is below a directory behind the prefix is one common prefix.
    is_delimited: bool,
    objects: Vec<Object>,
    prefixes: Vec<CommonPrefix>,
    last: Option<String>,
    keys_max: usize,
    is_truncated: bool,
}

impl Page {
    fn keys(&self) -> usize {
        self.objects.len() + self.prefixes.len()
    }

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
                let is_below = key.starts_with(&self.prefix) && self.prefix.len() < key.len();
                if self.is_delimited && is_below {
                    if self.after < key && has_objects(&path)? {
                        self.push(&path, key)?;
                    }
                } else if is_behind && (is_below || self.prefix.starts_with(&key)) {
                    self.visit(&path, &key)?;
                }
            } else if self.after < key && key.starts_with(&self.prefix) {
                self.push(&path, key)?;
            }
            if self.is_truncated {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Adds an object, or a common prefix, if there is room.
    fn push(&mut self, path: &Path, key: String) -> io::Result<()> {
        self.is_truncated = self.keys() == self.keys_max;
        if self.is_truncated {
            return Ok(());
        }
        if key.ends_with('/') {
            self.last = Some(key.clone());
            self.prefixes.push(CommonPrefix { prefix: Some(key) });
            return Ok(());
        }
        let metadata = match path.metadata() {
            // It was removed meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            found => found?,
        };
        self.last = Some(key.clone());
        self.objects.push(Object {
            key: Some(key),
            last_modified: Some(Timestamp::from(metadata.modified()?)),
            size: i64::try_from(metadata.len()).ok(),
            ..Object::default()
        });
        Ok(())
    }
}

/// Whether there is one below it: an object that is removed leaves its directories.
fn has_objects(directory: &Path) -> io::Result<bool> {
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        found => found?,
    };
    for entry in entries {
        let entry = entry?;
        if !entry.file_type()?.is_dir() || has_objects(&entry.path())? {
            return Ok(true);
        }
    }
    Ok(false)
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
