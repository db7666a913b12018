//! The pages of administration, as their menu has them.

/// A page, with those below it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Section {
    Overview,
    Users,
    Robots,
    Organizations,
    Invitations,
    Access,
    Storage,
    Collection,
    Retention,
    Deleted,
    Scrub,
    Mirrors,
    Health,
    Doctor,
    Audit,
    Configuration,
}

/// Pages that belong together.
#[derive(Clone, Copy, Debug)]
pub(super) struct Group {
    title: &'static str,
    sections: &'static [Section],
}

const MENU: [Group; 4] = [
    Group {
        title: "admin.server",
        sections: &[Section::Overview, Section::Health, Section::Doctor],
    },
    Group {
        title: "admin.people",
        sections: &[
            Section::Users,
            Section::Robots,
            Section::Organizations,
            Section::Invitations,
            Section::Access,
        ],
    },
    Group {
        title: "admin.data",
        sections: &[
            Section::Storage,
            Section::Collection,
            Section::Retention,
            Section::Deleted,
            Section::Scrub,
            Section::Mirrors,
        ],
    },
    Group {
        title: "admin.record",
        sections: &[Section::Audit, Section::Configuration],
    },
];

impl Group {
    pub(super) fn title(self) -> &'static str {
        self.title
    }

    pub(super) fn sections(self) -> &'static [Section] {
        self.sections
    }
}

impl Section {
    /// Of any page, the whole menu.
    #[expect(clippy::unused_self, reason = "templates have a page at hand")]
    pub(super) fn menu(self) -> [Group; 4] {
        MENU
    }

    #[expect(
        clippy::trivially_copy_pass_by_ref,
        reason = "templates lend what they give"
    )]
    pub(super) fn is(self, other: &Self) -> bool {
        self == *other
    }

    /// Behind `/ui/admin`.
    pub(super) fn path(self) -> &'static str {
        match self {
            Self::Overview => "",
            Self::Users => "/users",
            Self::Robots => "/robots",
            Self::Organizations => "/organizations",
            Self::Invitations => "/invitations",
            Self::Access => "/access",
            Self::Storage => "/storage",
            Self::Collection => "/collection",
            Self::Retention => "/retention",
            Self::Deleted => "/deleted",
            Self::Scrub => "/scrub",
            Self::Mirrors => "/mirrors",
            Self::Health => "/health",
            Self::Doctor => "/doctor",
            Self::Audit => "/audit",
            Self::Configuration => "/config",
        }
    }

    /// The key of what it is called.
    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Overview => "admin.overview",
            Self::Users => "admin.users",
            Self::Robots => "admin.robots",
            Self::Organizations => "admin.organizations",
            Self::Invitations => "admin.invitations",
            Self::Access => "admin.access",
            Self::Storage => "admin.storage",
            Self::Collection => "admin.collection",
            Self::Retention => "admin.retention",
            Self::Deleted => "admin.deleted",
            Self::Scrub => "admin.scrub",
            Self::Mirrors => "admin.mirrors",
            Self::Health => "admin.health",
            Self::Doctor => "admin.doctor",
            Self::Audit => "admin.audit",
            Self::Configuration => "admin.config",
        }
    }
}
