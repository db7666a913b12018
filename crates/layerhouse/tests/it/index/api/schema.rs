//! As much of OpenAPI 3.1 and of JSON Schema as the API's own description uses: what a test sees is held
//! against it.

use serde_json::{Map, Value};

use crate::harness::http::Response;

/// The API's description.
pub(super) struct Description(pub(super) Value);

/// Words of JSON Schema that say nothing of a value's form, or nothing that is checked here.
const ASIDE: [&str; 5] = ["description", "title", "format", "default", "pattern"];

impl Description {
    pub(super) fn new(document: Value) -> Self {
        Self(document)
    }

    /// Every operation: path, method, and what is said of it.
    pub(super) fn operations(&self) -> Vec<(&str, String, &Value)> {
        let paths = self.0["paths"].as_object().unwrap();
        let operations = paths.iter().flat_map(|(path, operations)| {
            let operations = operations.as_object().unwrap();
            operations
                .iter()
                .map(move |(method, said)| (&**path, method.to_uppercase(), said))
        });
        operations.collect()
    }

    /// The operation that a request is for.
    fn find(&self, method: &str, path: &str) -> Option<&Value> {
        let path = path.split('?').next().unwrap();
        let path = if path.is_empty() { "/" } else { path };
        let operations = self.operations();
        let found = operations
            .into_iter()
            .find(|(template, verb, _)| verb == method && is_of(template, path));
        found.map(|(_, _, said)| said)
    }

    /// Fails unless this is an answer that the description names.
    pub(super) fn check(&self, method: &str, path: &str, answer: &Response) {
        let Some(operation) = self.find(method, path) else {
            assert!(
                [404, 405].contains(&answer.status),
                "{method} {path}: {}",
                answer.status
            );
            return;
        };
        let status = answer.status.to_string();
        let said = &operation["responses"][&status];
        assert!(
            !said.is_null(),
            "{method} {path} does not name {status}: {}",
            answer.text()
        );
        let schema = &self.follow(said)["content"]["application/json"]["schema"];
        if schema.is_null() {
            assert!(answer.body.is_empty(), "{method} {path}: {}", answer.text());
            return;
        }
        assert_eq!(answer.header("content-type"), Some("application/json"));
        let value: Value = serde_json::from_slice(&answer.body).unwrap();
        let problem = self.problem(schema, &value);
        assert_eq!(problem, None, "{method} {path} {status}: {value}");
    }

    fn follow<'a>(&'a self, said: &'a Value) -> &'a Value {
        match said["$ref"].as_str() {
            Some(reference) => {
                let pointer = reference.strip_prefix('#').unwrap();
                self.follow(
                    self.0
                        .pointer(pointer)
                        .unwrap_or_else(|| panic!("{reference}")),
                )
            }
            None => said,
        }
    }

    /// What is wrong with a value.
    pub(super) fn problem(&self, schema: &Value, value: &Value) -> Option<String> {
        if *schema == Value::Bool(true) {
            return None;
        }
        let schema = schema.as_object().unwrap();
        schema
            .iter()
            .find_map(|(word, said)| self.word(schema, word, said, value))
    }

    fn word(
        &self,
        schema: &Map<String, Value>,
        word: &str,
        said: &Value,
        value: &Value,
    ) -> Option<String> {
        let failed = |why: String| Some(format!("{why} in {value}"));
        match word {
            "$ref" => {
                let whole = serde_json::json!({ "$ref": said });
                self.problem(self.follow(&whole), value)
            }
            "type" => {
                let kinds = said
                    .as_array()
                    .map_or_else(|| vec![said], |kinds| kinds.iter().collect());
                let is_one = kinds.iter().any(|kind| is_a(kind.as_str().unwrap(), value));
                (!is_one).then(|| format!("not a {said}: {value}"))
            }
            "enum" => (!said.as_array().unwrap().contains(value))
                .then(|| format!("{value} is not in {said}")),
            "const" => (said != value).then(|| format!("{value} is not {said}")),
            "required" => {
                let names = said.as_array().unwrap().iter().filter_map(Value::as_str);
                let missing = names.into_iter().find(|name| value.get(name).is_none());
                missing.and_then(|name| failed(format!("no {name}")))
            }
            "properties" => {
                let object = value.as_object()?;
                object
                    .iter()
                    .find_map(|(name, value)| match said.get(name) {
                        Some(schema) => self.problem(schema, value),
                        // An answer has nothing that its description does not name.
                        None if schema.contains_key("additionalProperties") => None,
                        None => failed(format!("unknown {name}")),
                    })
            }
            "additionalProperties" => {
                let object = value.as_object()?;
                let named = schema.get("properties").and_then(Value::as_object);
                let is_named = |name: &String| named.is_some_and(|named| named.contains_key(name));
                let others = object.iter().filter(|(name, _)| !is_named(name));
                match said {
                    Value::Bool(true) => None,
                    Value::Bool(false) => {
                        let other = others.map(|(name, _)| name).next();
                        other.and_then(|name| failed(format!("unknown {name}")))
                    }
                    Value::Null
                    | Value::Number(_)
                    | Value::String(_)
                    | Value::Array(_)
                    | Value::Object(_) => others
                        .map(|(_, value)| value)
                        .find_map(|value| self.problem(said, value)),
                }
            }
            "items" => value
                .as_array()?
                .iter()
                .find_map(|item| self.problem(said, item)),
            "anyOf" | "oneOf" => {
                let choices = said.as_array().unwrap();
                let fitting = choices
                    .iter()
                    .filter(|choice| self.problem(choice, value).is_none());
                match fitting.count() {
                    0 => failed(format!("none of {said}")),
                    1 => None,
                    _ if word == "anyOf" => None,
                    _ => failed(format!("more than one of {said}")),
                }
            }
            "minimum" => (value.as_i64() < said.as_i64()).then(|| format!("{value} < {said}")),
            "maxLength" | "maximum" | "minLength" => None,
            _ if ASIDE.contains(&word) => None,
            _ => panic!("{word} is not checked"),
        }
    }
}

fn is_a(kind: &str, value: &Value) -> bool {
    match kind {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        _ => panic!("{kind} is no type"),
    }
}

/// Whether a path is one of this template; a repository's name goes to `/-/` or to the end.
fn is_of(template: &str, path: &str) -> bool {
    if let Some((start, rest)) = template.split_once("{repository}") {
        let Some(path) = path.strip_prefix(start) else {
            return false;
        };
        return match rest {
            "" => !path.contains("/-"),
            // A name has no segment `-`.
            _ => path
                .split_once("/-/")
                .is_some_and(|(_, path)| is_of(rest, &format!("/-/{path}"))),
        };
    }
    let (template, path): (Vec<_>, Vec<_>) =
        (template.split('/').collect(), path.split('/').collect());
    let is_one = |(piece, segment): (&&str, &&str)| piece.starts_with('{') || piece == segment;
    template.len() == path.len() && template.iter().zip(&path).all(is_one)
}
