//! The page between a link and what cannot be taken back.

use askama::Template;

use super::forms::Forms;
use crate::api::ui::shell::Shell;

/// Asks whether something shall really be done.
#[derive(Template)]
#[template(path = "account/confirm.html")]
pub(super) struct Confirm<'a> {
    pub(super) shell: &'a Shell,
    pub(super) forms: &'a Forms<'a>,
    pub(super) title: String,
    /// What happens then.
    pub(super) text: &'static str,
    /// The page, behind the root, that is told and that one goes back to.
    pub(super) page: String,
    /// What is done, as the page knows it.
    pub(super) deed: &'static str,
    /// The field that says to what, and its value.
    pub(super) what: (&'static str, String),
    /// What the button says.
    pub(super) button: &'static str,
    /// The ends among which is chosen, if something new begins.
    pub(super) ends: Vec<(&'static str, String)>,
}
