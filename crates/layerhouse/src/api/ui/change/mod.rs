//! What changes a repository's content, with what it would do before it is done: deleting, bringing back,
//! moving a tag back.

pub(super) mod delete;
pub(super) mod history;
pub(super) mod undelete;
