//! The traffic that settings see: what clients send, and what they should not.

/// A push and a pull as docker does them, and some of what goes wrong: for settings that change what
/// surrounds every request alike.
pub(super) const BRIEF: &str = "
GET     /v2/
GET     /
GET     /v2/nothing
GET     /v2/_catalog
GET     /v2/acme/web/tags/list
GET     /v2/acme/web/manifests/v1
HEAD    /v2/acme/web/blobs/$sha256(abcd)
POST    /v2/acme/web/blobs/uploads/
PATCH   $upload  streamed 'abcd'
GET     $upload
PUT     $upload&digest=$sha256(abcd)
POST    /v2/acme/web/blobs/uploads/
PUT     $upload&digest=$sha256(other)  '{}'
POST    /v2/acme/web/blobs/uploads/
PUT     $upload&digest=$sha256({})  '{}'
POST    /v2/acme/web/blobs/uploads/
DELETE  $upload
HEAD    /v2/acme/web/blobs/$sha256(abcd)
GET     /v2/acme/web/blobs/$sha256(abcd)
GET     /v2/acme/web/blobs/$sha256(abcd)  Range: bytes=1-2
POST    /v2/acme/api/blobs/uploads/?mount=$sha256(abcd)&from=acme/web
POST    /v2/acme/api/blobs/uploads/?mount=$sha256(unknown)&from=acme/web
PUT     /v2/acme/web/manifests/v1  Content-Type: application/vnd.oci.image.manifest.v1+json  $small
PUT     /v2/acme/web/manifests/v2  Content-Type: application/vnd.docker.distribution.manifest.v2+json  $docker
PUT     /v2/acme/web/manifests/v3  Content-Type: application/vnd.oci.image.manifest.v1+json  'no json'
PUT     /v2/acme/web/manifests/v3  Content-Type: application/vnd.oci.image.manifest.v1+json  $orphan
PUT     /v2/acme/web/manifests/v3  Content-Type: application/vnd.oci.image.index.v1+json  $orphanIndex
HEAD    /v2/acme/web/manifests/v1  Accept: application/vnd.oci.image.manifest.v1+json
GET     /v2/acme/web/manifests/$sha256($small)  Accept: application/vnd.oci.image.manifest.v1+json
GET     /v2/acme/web/manifests/v2  Accept: application/vnd.docker.distribution.manifest.v2+json
GET     /v2/acme/web/manifests/v9  Accept: application/vnd.oci.image.manifest.v1+json
GET     /v2/_catalog
GET     /v2/_catalog?n=1
GET     $next
DELETE  /v2/acme/web/manifests/$sha256(unknown)
DELETE  /v2/acme/web/manifests/$sha256($docker)
DELETE  /v2/acme/web/blobs/$sha256(unknown)
GET     /v2/acme/web/tags/list
";

/// All of it. Begins on empty registries.
pub(super) const FULL: &str = "
# Base, catalog, and paths of nothing.
GET     /v2/
HEAD    /v2/
GET     /v2
GET     /
HEAD    /
GET     /v1/_ping
GET     /v3/
GET     /v2/nothing
GET     /v2/acme/web
GET     /v2/acme/web/
GET     /v2/acme/web/unknown/latest
GET     /v2/_catalog
HEAD    /v2/_catalog
GET     /v2/_catalog/
GET     /v2/acme/web/tags/list
GET     /v2/acme/web/tags/list/
GET     /v2/acme/web/tags
POST    /v2/
PUT     /v2/_catalog
DELETE  /v2/acme/web/tags/list
PATCH   /v2/acme/web/manifests/v1
POST    /v2/acme/web/manifests/v1
GET     /v2/acme/web/blobs/uploads/
PUT     /v2/acme/web/blobs/uploads/
POST    /v2/acme/web/blobs/$sha256(abcd)
PATCH   /v2/acme/web/blobs/$sha256(abcd)
PUT     /v2/acme/web/blobs/$sha256(abcd)
BREW    /v2/

# Names that are none.
GET     /v2/Acme/web/tags/list
GET     /v2/acme//web/tags/list
GET     /v2/acme/web-/tags/list
GET     /v2/a..b/tags/list
GET     /v2/a__b/tags/list
GET     /v2/a___b/tags/list
GET     /v2/-a/manifests/v1
GET     /v2/acme/web/manifests/.v1
GET     /v2/acme/web/manifests/v1:x
GET     /v2/acme/web/manifests/sha256:abcd
GET     /v2/acme/web/manifests/sha256:ABCDEF0123456789abcdef0123456789abcdef0123456789abcdef0123456789
GET     /v2/acme/web/manifests/md5:d41d8cd98f00b204e9800998ecf8427e
GET     /v2/acme/web/blobs/sha256:abcd
GET     /v2/acme/web/blobs/latest
GET     /v2/acme%2Fweb/tags/list
GET     /v2/acme/../web/tags/list

# Nothing is here yet.
GET     /v2/acme/web/manifests/v1
HEAD    /v2/acme/web/manifests/v1
GET     /v2/acme/web/manifests/$sha256($image)
GET     /v2/acme/web/blobs/$sha256(abcd)
HEAD    /v2/acme/web/blobs/$sha256(abcd)
GET     /v2/acme/web/blobs/uploads/3d0a3a4f-6f3c-4c4d-8d0e-0a4d8f1b2c3d
GET     /v2/acme/web/blobs/uploads/x
PATCH   /v2/acme/web/blobs/uploads/3d0a3a4f-6f3c-4c4d-8d0e-0a4d8f1b2c3d  'abcd'
PUT     /v2/acme/web/blobs/uploads/3d0a3a4f-6f3c-4c4d-8d0e-0a4d8f1b2c3d?digest=$sha256(abcd)  'abcd'
DELETE  /v2/acme/web/blobs/uploads/3d0a3a4f-6f3c-4c4d-8d0e-0a4d8f1b2c3d

# A blob by POST and PUT, as docker sends small ones.
POST    /v2/acme/web/blobs/uploads/
HEAD    $upload
GET     $upload
PUT     $upload&digest=$sha256(abcd)  Content-Type: application/octet-stream  'abcd'
GET     $upload
GET     /v2/acme/web/blobs/$sha256(abcd)
HEAD    /v2/acme/web/blobs/$sha256(abcd)

# By POST, one PATCH as a stream and PUT, as docker does.
POST    /v2/acme/web/blobs/uploads/
PATCH   $upload  streamed 'efgh'
GET     $upload
PUT     $upload&digest=$sha256(efgh)
# With numbered chunks, as the specification has it.
POST    /v2/acme/web/blobs/uploads/
PATCH   $upload  0-3 'ijkl'
PATCH   $upload  4-7 'mnop'
GET     $upload
PUT     $upload&digest=$sha256(ijklmnop)
POST    /v2/acme/web/blobs/uploads/
PATCH   $upload  0-3 'qrst'
PUT     $upload&digest=$sha256(qrstuvwx)  4-7 'uvwx'
# The empty object that manifests have as their config; and nothing at all.
POST    /v2/acme/web/blobs/uploads/
PUT     $upload&digest=$sha256({})  '{}'
POST    /v2/acme/web/blobs/uploads/
PUT     $upload&digest=$sha256()
GET     /v2/acme/web/blobs/$sha256()
# In one request.
POST    /v2/acme/web/blobs/uploads/?digest=$sha256(single)  'single'
# A big one, and parts of it.
POST    /v2/acme/web/blobs/uploads/
PATCH   $upload  $blob
PUT     $upload&digest=$sha256($blob)
GET     /v2/acme/web/blobs/$sha256($blob)
HEAD    /v2/acme/web/blobs/$sha256($blob)
GET     /v2/acme/web/blobs/$sha256($blob)  Range: bytes=0-0
GET     /v2/acme/web/blobs/$sha256($blob)  Range: bytes=100-199
GET     /v2/acme/web/blobs/$sha256($blob)  Range: bytes=239990-
GET     /v2/acme/web/blobs/$sha256($blob)  Range: bytes=-10
GET     /v2/acme/web/blobs/$sha256($blob)  Range: bytes=239990-999999
GET     /v2/acme/web/blobs/$sha256($blob)  Range: bytes=240000-
GET     /v2/acme/web/blobs/$sha256($blob)  Range: bytes=5-4
GET     /v2/acme/web/blobs/$sha256($blob)  Range: lines=1-2
HEAD    /v2/acme/web/blobs/$sha256($blob)  Range: bytes=0-9
GET     /v2/acme/web/blobs/$sha256(abcd)  Range: bytes=0-0,2-3
GET     /v2/acme/web/blobs/$sha256(abcd)  If-None-Match: \"$sha256(abcd)\"
GET     /v2/acme/web/blobs/$sha256(abcd)  If-None-Match: \"other\"
GET     /v2/acme/web/blobs/$sha256(abcd)  If-None-Match: *
GET     /v2/acme/web/blobs/$sha256(abcd)  Range: bytes=1-2  If-Range: \"$sha256(abcd)\"
GET     /v2/acme/web/blobs/$sha256(abcd)  Range: bytes=1-2  If-Range: \"other\"
HEAD    /v2/acme/web/blobs/$sha256(abcd)  If-None-Match: \"$sha256(abcd)\"

# Uploads that go wrong.
POST    /v2/acme/web/blobs/uploads/
PATCH   $upload  0-3 'abcd'
PATCH   $upload  8-11 'ijkl'
POST    /v2/acme/web/blobs/uploads/
PATCH   $upload  Content-Range: x-y  'abcd'
PUT     $upload
PUT     $upload&digest=abcd  'abcd'
PUT     $upload&digest=$sha256(other)  'abcd'
POST    /v2/acme/web/blobs/uploads/
DELETE  $upload
GET     $upload
PATCH   $upload  'abcd'
DELETE  $upload
POST    /v2/Acme/web/blobs/uploads/
POST    /v2/acme/web/blobs/uploads
POST    /v2/acme/web/blobs/uploads/?digest=abcd  'abcd'
# The Location of before.
POST    /v2/acme/web/blobs/uploads/
PATCH   $upload  'abcd'
PATCH   $opened  'efgh'
DELETE  $upload

# Mounts.
POST    /v2/acme/api/blobs/uploads/?mount=$sha256(abcd)&from=acme/web
GET     /v2/acme/api/blobs/$sha256(abcd)
POST    /v2/acme/api/blobs/uploads/?mount=$sha256(unknown)&from=acme/web
DELETE  $upload
POST    /v2/acme/api/blobs/uploads/?mount=$sha256(abcd)&from=acme/unknown
DELETE  $upload
POST    /v2/acme/api/blobs/uploads/?mount=$sha256(efgh)&from=Acme
POST    /v2/acme/api/blobs/uploads/?mount=abcd&from=acme/web
POST    /v2/acme/api/blobs/uploads/?mount=$sha256(efgh)
GET     /v2/acme/api/blobs/$sha256(efgh)
POST    /v2/acme/api/blobs/uploads/?from=acme/web

# Manifests: OCI.
PUT     /v2/acme/web/manifests/v1  Content-Type: application/vnd.oci.image.manifest.v1+json  $image
PUT     /v2/acme/web/manifests/v2  Content-Type: application/vnd.oci.image.manifest.v1+json  $small
PUT     /v2/acme/web/manifests/$sha256($small)  Content-Type: application/vnd.oci.image.manifest.v1+json  $small
PUT     /v2/acme/web/manifests/all  Content-Type: application/vnd.oci.image.index.v1+json  $index
PUT     /v2/acme/web/manifests/pretty  Content-Type: application/vnd.oci.image.manifest.v1+json  $pretty
GET     /v2/acme/web/manifests/v1  Accept: application/vnd.oci.image.manifest.v1+json
HEAD    /v2/acme/web/manifests/v1  Accept: application/vnd.oci.image.manifest.v1+json
GET     /v2/acme/web/manifests/$sha256($small)  Accept: application/vnd.oci.image.manifest.v1+json
GET     /v2/acme/web/manifests/pretty  Accept: application/vnd.oci.image.manifest.v1+json
GET     /v2/acme/web/manifests/all  Accept: application/vnd.oci.image.index.v1+json
HEAD    /v2/acme/web/manifests/all  Accept: application/vnd.oci.image.index.v1+json
GET     /v2/acme/web/manifests/$sha256($index)  Accept: application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json
GET     /v2/acme/web/manifests/v1  Accept: application/vnd.oci.image.manifest.v1+json  If-None-Match: \"$sha256($image)\"
GET     /v2/acme/web/manifests/v1  Accept: application/vnd.oci.image.manifest.v1+json  If-None-Match: $sha256($image)
GET     /v2/acme/web/manifests/v1  Accept: application/vnd.oci.image.manifest.v1+json  If-None-Match: \"$sha256($small)\"
GET     /v2/acme/web/manifests/v1
GET     /v2/acme/web/manifests/v1  Accept: */*
GET     /v2/acme/web/manifests/v1  Accept: application/vnd.docker.distribution.manifest.v2+json
GET     /v2/acme/web/manifests/all
GET     /v2/acme/web/manifests/all  Accept: application/vnd.oci.image.manifest.v1+json
GET     /v2/acme/web/manifests/v9  Accept: application/vnd.oci.image.manifest.v1+json
HEAD    /v2/acme/web/manifests/v9  Accept: application/vnd.oci.image.manifest.v1+json
GET     /v2/acme/web/manifests/$sha256(unknown)  Accept: application/vnd.oci.image.manifest.v1+json
# Docker's.
PUT     /v2/acme/web/manifests/docker  Content-Type: application/vnd.docker.distribution.manifest.v2+json  $docker
PUT     /v2/acme/web/manifests/list  Content-Type: application/vnd.docker.distribution.manifest.list.v2+json  $dockerList
GET     /v2/acme/web/manifests/docker  Accept: application/vnd.docker.distribution.manifest.v2+json
GET     /v2/acme/web/manifests/docker  Accept: application/vnd.docker.distribution.manifest.v2+json, application/vnd.docker.distribution.manifest.list.v2+json
GET     /v2/acme/web/manifests/docker  Accept: application/vnd.oci.image.manifest.v1+json
GET     /v2/acme/web/manifests/docker
GET     /v2/acme/web/manifests/list  Accept: application/vnd.docker.distribution.manifest.list.v2+json
GET     /v2/acme/web/manifests/list  Accept: application/vnd.docker.distribution.manifest.v2+json
GET     /v2/acme/web/manifests/list
# Manifests that are refused.
PUT     /v2/acme/web/manifests/v3  Content-Type: application/vnd.oci.image.manifest.v1+json  $orphan
PUT     /v2/acme/web/manifests/v3  Content-Type: application/vnd.oci.image.index.v1+json  $orphanIndex
PUT     /v2/acme/web/manifests/$sha256(other)  Content-Type: application/vnd.oci.image.manifest.v1+json  $small
PUT     /v2/acme/web/manifests/v3  Content-Type: application/vnd.oci.image.manifest.v1+json  'no json'
PUT     /v2/acme/web/manifests/v3  Content-Type: application/vnd.oci.image.manifest.v1+json
PUT     /v2/acme/web/manifests/v3  Content-Type: application/vnd.oci.image.manifest.v1+json  '[]'
PUT     /v2/acme/web/manifests/v3  Content-Type: application/vnd.oci.image.manifest.v1+json  '{}'
PUT     /v2/acme/web/manifests/v3  Content-Type: text/plain  $small
PUT     /v2/acme/web/manifests/v3  Content-Type: application/vnd.oci.image.manifest.v1+json  $otherType
PUT     /v2/acme/web/manifests/v3  Content-Type: application/vnd.oci.image.manifest.v1+json  $oldVersion
PUT     /v2/acme/web/manifests/v3  Content-Type: application/vnd.docker.distribution.manifest.v1+prettyjws  $schema1
PUT     /v2/acme/web/manifests/v3  Content-Type: application/vnd.oci.image.manifest.v1+json  $tooLarge
PUT     /v2/acme/web/manifests/.v3  Content-Type: application/vnd.oci.image.manifest.v1+json  $small
PUT     /v2/Acme/web/manifests/v3  Content-Type: application/vnd.oci.image.manifest.v1+json  $small
PUT     /v2/acme/other/manifests/v3  Content-Type: application/vnd.oci.image.manifest.v1+json  $small
# Lists.
GET     /v2/_catalog
GET     /v2/_catalog?n=1
GET     $next
GET     /v2/_catalog?n=0
GET     /v2/_catalog?n=-1
GET     /v2/_catalog?n=x
GET     /v2/_catalog?n=1001
GET     /v2/_catalog?last=acme/api
GET     /v2/_catalog?n=5&last=acme/web
GET     /v2/acme/api/tags/list
GET     /v2/acme/unknown/tags/list
GET     /v2/acme/web/referrers/$sha256($small)
";

/// The end of all of it: what leaves the registries with different contents, or may.
pub(super) const PARTING: &str = "
# Lists of tags, which registry:2 has in no order.
GET     /v2/acme/web/tags/list
GET     /v2/acme/web/tags/list?n=2
GET     /v2/acme/web/tags/list?n=0
GET     /v2/acme/web/tags/list?last=v1
# What only one of them takes.
PUT     /v2/acme/parting/manifests/v1  Content-Type: application/vnd.oci.image.manifest.v1+json  $large
PUT     /v2/acme/web/manifests/large  Content-Type: application/vnd.oci.image.manifest.v1+json  $large
PUT     /v2/acme/web/manifests/foreign  Content-Type: application/vnd.oci.image.manifest.v1+json  $foreign
PUT     /v2/acme/web/manifests/repeated  Content-Type: application/vnd.oci.image.manifest.v1+json  $repeated
PUT     /v2/acme/web/manifests/untyped  $small
# Deletes.
PUT     /v2/acme/only/manifests/v1  Content-Type: application/vnd.oci.image.index.v1+json  $emptyIndex
GET     /v2/acme/only/tags/list
DELETE  /v2/acme/only/manifests/$sha256($emptyIndex)
GET     /v2/acme/only/tags/list
DELETE  /v2/acme/web/manifests/Acme:v1
DELETE  /v2/acme/web/manifests/$sha256(unknown)
DELETE  /v2/acme/web/manifests/unknown
DELETE  /v2/acme/unknown/manifests/$sha256($image)
DELETE  /v2/acme/web/blobs/$sha256(unknown)
DELETE  /v2/acme/web/blobs/sha256:abcd
DELETE  /v2/acme/web/blobs/$sha256(ijklmnop)
GET     /v2/acme/web/blobs/$sha256(ijklmnop)
DELETE  /v2/acme/web/manifests/$sha256($index)
GET     /v2/acme/web/manifests/all  Accept: application/vnd.oci.image.index.v1+json
DELETE  /v2/acme/web/manifests/$sha256($pretty)
GET     /v2/acme/web/manifests/pretty  Accept: application/vnd.oci.image.manifest.v1+json
DELETE  /v2/acme/web/blobs/$sha256(abcd)
DELETE  /v2/acme/web/manifests/$sha256($docker)
DELETE  /v2/acme/web/manifests/v1
";
