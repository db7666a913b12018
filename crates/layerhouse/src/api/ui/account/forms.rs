//! Forms that come back: with what was typed, and why that was refused. Passwords are never among it.

use crate::api::ui::ask::Refused;
use crate::api::ui::escape::Escaped;
use crate::api::ui::form::Pairs;
use crate::api::ui::shell::{Html, Shell};
use crate::api::ui::visit::Visit;

/// The field that tells the forms of a page apart.
const WHICH: &str = "do";

/// The forms of a page, of which one may have been refused.
pub(super) struct Forms<'a> {
    shell: &'a Shell,
    /// The one that comes back, and what was typed into it.
    sent: Option<(&'a str, &'a Pairs)>,
    refused: Option<Refused>,
}

impl<'a> Forms<'a> {
    /// As they are on the first look, or with what was refused of the one that was sent.
    pub(super) fn of(visit: &'a Visit, refused: Option<Refused>) -> Self {
        let shell = &visit.shell;
        let sent = refused.is_some().then(|| sent(visit));
        Self {
            shell,
            sent,
            refused,
        }
    }

    /// With what was typed into the one that was sent, which is neither done nor refused.
    pub(super) fn typed_so_far(visit: &'a Visit) -> Self {
        Self {
            shell: &visit.shell,
            sent: Some(sent(visit)),
            refused: None,
        }
    }

    fn sent(&self, form: &str) -> Option<&Pairs> {
        let (_, pairs) = self.sent.filter(|(which, _)| *which == form)?;
        Some(pairs)
    }

    /// Why this form was refused, if it was.
    pub(super) fn problem(&self, form: &str) -> Html {
        let refused = self.refused.as_ref().filter(|_| self.sent(form).is_some());
        let Some(refused) = refused else {
            return Html::default();
        };
        let said = match refused.wait_seconds {
            Some(wait) => self.shell.count("account.wait", wait),
            None => refused.message.clone(),
        };
        Html(format!(
            "<p class=\"problem\" role=\"alert\">{}</p>",
            Escaped(&said)
        ))
    }

    /// What was typed into a field, if it comes back.
    pub(super) fn typed(&self, form: &str, field: &str) -> String {
        self.typed_or(form, field, "")
    }

    /// The same, or else what is there.
    pub(super) fn typed_or(&self, form: &str, field: &str, known: &str) -> String {
        let typed = self.sent(form).map(|pairs| pairs.exact(field));
        typed.map_or(known, Option::unwrap_or_default).to_owned()
    }

    /// Whether a choice among several, or a box, is chosen: what was sent, or else what is `known`.
    pub(super) fn is_chosen(&self, form: &str, field: &str, value: &str, known: &str) -> bool {
        match self.sent(form) {
            Some(pairs) => pairs.all(field).any(|found| found == value),
            None => value == known,
        }
    }
}

/// The form that was sent, and what it says.
fn sent(visit: &Visit) -> (&str, &Pairs) {
    (visit.form.get(WHICH).unwrap_or_default(), &visit.form)
}
