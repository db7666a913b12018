//! The file of Apache's `htpasswd`: a user and a bcrypt hash to a line.

use std::collections::{BTreeMap, HashMap};

use base64::Engine;
use base64::engine::{GeneralPurpose, GeneralPurposeConfig};

/// bcrypt reads no more of a password; Go's ignores the rest, and so must we.
const PASSWORD_BYTES_MAX: usize = 72;
/// What unknown users cost in a file without a bcrypt entry: as `htpasswd -B` without `-C`.
const COST_DEFAULT: u32 = 5;
const COSTS: std::ops::RangeInclusive<u32> = 4..=31;
/// One hash of cost 18 takes the core that all hashes share for 15 s, one of 31 for a day and a half.
const COST_MAX: u32 = 17;

/// As Go decodes: the last letter of a salt may have bits that mean nothing.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::BCRYPT,
    GeneralPurposeConfig::new()
        .with_encode_padding(false)
        .with_decode_padding_mode(base64::engine::DecodePaddingMode::RequireNone)
        .with_decode_allow_trailing_bits(true),
);

/// A bcrypt entry.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Hash {
    cost: u32,
    salt: [u8; 16],
    digest: [u8; 23],
}

impl Hash {
    /// `$2y$05$` and 53 letters; `None` for every other kind of entry.
    fn parse(text: &[u8]) -> Option<Self> {
        let text = str::from_utf8(text).ok().filter(|text| text.is_ascii())?;
        let rest = ["$2a$", "$2b$", "$2y$"]
            .iter()
            .find_map(|prefix| text.strip_prefix(prefix))?;
        let (cost, rest) = rest.split_once('$')?;
        let is_number = cost.len() == 2 && cost.bytes().all(|byte| byte.is_ascii_digit());
        let cost = cost.parse().ok().filter(|cost| COSTS.contains(cost))?;
        if !is_number || rest.len() != 53 {
            return None;
        }
        let (salt, hash) = rest.split_at(22);
        Some(Self {
            cost,
            salt: BASE64.decode(salt).ok()?.try_into().ok()?,
            digest: BASE64.decode(hash).ok()?.try_into().ok()?,
        })
    }

    /// A hash of this cost that no password is known for.
    fn nobody(cost: u32) -> Self {
        Self {
            cost,
            salt: [0x5a; 16],
            digest: [0; 23],
        }
    }

    /// Costs 2 ms at cost 5, 60 ms at cost 10, and twice as much for each more.
    pub(crate) fn matches(&self, password: &[u8]) -> bool {
        let mut bytes = password[..password.len().min(PASSWORD_BYTES_MAX)].to_vec();
        if bytes.len() < PASSWORD_BYTES_MAX {
            bytes.push(0);
        }
        let found = bcrypt::bcrypt(self.cost, self.salt, &bytes);
        aws_lc_rs::constant_time::verify_slices_are_equal(&found[..23], &self.digest).is_ok()
    }

    /// What tells it from another: part of the key of a remembered login.
    pub(crate) fn bytes(&self) -> [u8; 43] {
        let mut bytes = [0; 43];
        bytes[..4].copy_from_slice(&self.cost.to_be_bytes());
        bytes[4..20].copy_from_slice(&self.salt);
        bytes[20..].copy_from_slice(&self.digest);
        bytes
    }
}

/// Who may sign in.
pub(crate) struct Users {
    /// `None` for entries that load but never match: another kind than bcrypt, or too dear.
    hashes: HashMap<Vec<u8>, Option<Hash>>,
    /// What an unknown user is compared with, at the cost that most of the file has (S14).
    nobody: Hash,
    /// All costs of the file that match.
    costs: Vec<u32>,
    /// Lines of entries that are too dear.
    too_dear: Vec<usize>,
}

impl Users {
    /// Reads the file; blank lines and those that begin with `#` say nothing.
    ///
    /// # Errors
    /// A line has no colon. The message has its number and not its text, which may be a secret.
    pub(crate) fn parse(content: &[u8]) -> Result<Self, String> {
        let mut hashes = HashMap::new();
        let mut too_dear = Vec::new();
        for (number, line) in (1..).zip(content.split(|byte| *byte == b'\n')) {
            let line = line.trim_ascii();
            if line.is_empty() || line.starts_with(b"#") {
                continue;
            }
            let colon = line.iter().position(|byte| *byte == b':').ok_or_else(|| {
                format!("line {number} has no colon; write user:hash, as `htpasswd -B` does")
            })?;
            let mut hash = Hash::parse(&line[colon + 1..]);
            if hash.is_some_and(|hash| COST_MAX < hash.cost) {
                too_dear.push(number);
                hash = None;
            }
            hashes.insert(line[..colon].to_vec(), hash);
        }
        let mut costs: BTreeMap<u32, usize> = BTreeMap::new();
        for hash in hashes.values().flatten() {
            *costs.entry(hash.cost).or_default() += 1;
        }
        let most = costs.iter().max_by_key(|(cost, count)| (*count, *cost));
        let nobody = Hash::nobody(most.map_or(COST_DEFAULT, |(cost, _)| *cost));
        Ok(Self {
            hashes,
            nobody,
            costs: costs.into_keys().collect(),
            too_dear,
        })
    }

    /// Tells the operator what the file costs them.
    pub(crate) fn warn(&self) {
        if let Some(line) = self.too_dear.first() {
            tracing::warn!(
                line,
                count = self.too_dear.len(),
                "entries of the htpasswd file have a bcrypt cost above 17 and never match: one login would hold up all others"
            );
        }
        if self.are_apart() {
            tracing::warn!(
                costs = ?self.costs,
                "the htpasswd file mixes bcrypt costs: how long a login takes tells which users there are"
            );
        }
    }

    /// Whether some users can be told from others, and from who is not there, by time.
    fn are_apart(&self) -> bool {
        1 < self.costs.len()
    }

    /// What to compare a password of this user with, and whether a match counts.
    pub(crate) fn find(&self, user: &str) -> (Hash, bool) {
        match self.hashes.get(user.as_bytes()) {
            Some(Some(hash)) => (*hash, true),
            Some(None) | None => (self.nobody, false),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What registry:2 made of [`GO_PASSWORD`] when its file was missing.
    const GO: &str = "$2a$10$Opx7YTcTz1IFl2xPCk2wcunRVLpLGECxCqCc2et0MO.E2DTkzC78m";
    const GO_PASSWORD: &str = "beLLO7LHZBQ2T4IXk9G_itPDnxCMh9ZWmUQzZseb0vs";

    fn entry(password: &str, cost: u32, version: bcrypt::Version) -> String {
        bcrypt::hash_with_salt(password, cost, [7; 16])
            .expect("a cost that is allowed")
            .format_for_version(version)
    }

    fn signs_in(file: &str, user: &str, password: &str) -> bool {
        let users = Users::parse(file.as_bytes()).expect("a good file");
        let (hash, counts) = users.find(user);
        hash.matches(password.as_bytes()) && counts
    }

    #[test]
    fn entries_of_all_versions() {
        for version in [
            bcrypt::Version::TwoA,
            bcrypt::Version::TwoB,
            bcrypt::Version::TwoY,
        ] {
            let file = format!("# users\n\n  ann:{}  \r\n", entry("pässword", 4, version));
            assert!(signs_in(&file, "ann", "pässword"));
            assert!(!signs_in(&file, "ann", "password"));
            assert!(!signs_in(&file, "ann", ""));
            assert!(!signs_in(&file, "ANN", "pässword"));
            assert!(!signs_in(&file, "# users", ""));
        }
        assert!(signs_in(&format!("docker:{GO}"), "docker", GO_PASSWORD));
    }

    /// As Go's bcrypt: the first 72 bytes count.
    #[test]
    fn long_passwords_are_cut() {
        let long = "p".repeat(72);
        let file = format!("ann:{}", entry(&long, 4, bcrypt::Version::TwoY));
        assert!(signs_in(&file, "ann", &long));
        assert!(signs_in(&file, "ann", &format!("{long}and more")));
        assert!(!signs_in(&file, "ann", &long[1..]));
    }

    /// S15: RUSTSEC-2026-0199 was a panic on an odd hash.
    #[test]
    fn sec_s15_what_is_not_bcrypt_loads_and_never_matches() {
        let good = entry("x", 4, bcrypt::Version::TwoX);
        for hash in [
            "",
            "x",
            "{SHA}Et6pb+wgWTVmq3VpLJlJWWgzrck=",
            "$apr1$TRMs2Cbs$WLPy8RLnDhZBPFqvAyCuW/",
            &good,
            &GO[..59],
            &format!("{GO}x"),
            &GO.replace("$10$", "$03$"),
            &GO.replace("$10$", "$32$"),
            &GO.replace("$10$", "$+5$"),
            &GO.replace("$10$", "$1$"),
            &GO.replace("Opx", "O!x"),
            &GO.replace("Opx", "Oé"),
            &format!("{}é", &GO[..58]),
        ] {
            assert!(Hash::parse(hash.as_bytes()).is_none(), "{hash}");
            assert!(!signs_in(&format!("ann:{hash}"), "ann", "x"), "{hash}");
        }
    }

    #[test]
    fn a_line_without_a_colon_is_named_and_not_shown() {
        let error = Users::parse(b"ann:x\n\ncanary\n")
            .err()
            .expect("a bad line");
        assert!(error.starts_with("line 3 "), "{error}");
        assert!(!error.contains("canary"), "{error}");
    }

    /// S14: an unknown user costs what most users cost.
    #[test]
    fn sec_s14_nobody_costs_as_much_as_most() {
        let [cheap, dear] = [4, 5].map(|cost| entry("x", cost, bcrypt::Version::TwoY));
        let file = format!("a:{cheap}\nb:{dear}\nc:{dear}\nd:plain\n");
        let users = Users::parse(file.as_bytes()).expect("a good file");
        for user in ["nobody", "d"] {
            let (hash, counts) = users.find(user);
            assert_eq!((hash.cost, counts), (5, false));
        }
        assert_eq!(users.find("a").0.cost, 4);
        assert_eq!(Users::parse(b"").expect("a file").nobody.cost, COST_DEFAULT);
    }

    #[test]
    fn mixed_costs_are_noticed() {
        let [cheap, dear] = [4, 5].map(|cost| entry("x", cost, bcrypt::Version::TwoY));
        for (file, expected) in [
            (format!("a:{cheap}\nb:{dear}\n"), true),
            (format!("a:{cheap}\nb:{cheap}\nc:plain\n"), false),
            (String::new(), false),
        ] {
            let users = Users::parse(file.as_bytes()).expect("a good file");
            assert_eq!(users.are_apart(), expected, "{file}");
        }
    }

    /// S15: one login must not hold the core for hours.
    #[test]
    fn sec_s15_entries_that_are_too_dear_load_and_never_match() {
        let dear = |cost: &str| GO.replace("$10$", cost);
        let file = format!("a:{GO}\nb:{}\nc:{}\n", dear("$17$"), dear("$18$"));
        let users = Users::parse(file.as_bytes()).expect("a good file");
        let costs = ["a", "b", "c"].map(|user| (users.find(user).0.cost, users.find(user).1));
        assert_eq!(costs[..2], [(10, true), (17, true)]);
        assert!(costs[2].0 <= 17 && !costs[2].1);
        assert_eq!(users.too_dear, [3]);
    }
}
