//! The description itself.

use std::collections::BTreeSet;

use serde_json::Value;

use super::World;

#[test]
fn the_description_is_whole() {
    let world = World::new("");
    let document = &world.description.0;
    assert_eq!(document["openapi"], "3.1.0");
    assert_eq!(document["servers"][0]["url"], "http://registry/api/v1");
    let mut ids = BTreeSet::new();
    for (path, method, operation) in world.description.operations() {
        assert!(
            ids.insert(operation["operationId"].as_str().unwrap()),
            "{method} {path}"
        );
        assert!(
            operation["x-layerhouse-need"]["kind"].is_string(),
            "{method} {path}"
        );
        let parameters = operation["parameters"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        let of_path: Vec<_> = parameters
            .iter()
            .filter(|parameter| parameter["in"] == "path")
            .map(|parameter| format!("{{{}}}", parameter["name"].as_str().unwrap()))
            .collect();
        let named: Vec<_> = path
            .split('/')
            .filter(|piece| piece.starts_with('{'))
            .collect();
        assert_eq!(of_path, named, "{method} {path}");
    }
    references(document, document);
}

/// Whatever is pointed at is there.
fn references(document: &Value, value: &Value) {
    match value {
        Value::Object(object) => {
            if let Some(reference) = object.get("$ref").and_then(Value::as_str) {
                let pointer = reference.strip_prefix('#').unwrap();
                assert!(document.pointer(pointer).is_some(), "{reference}");
            }
            object
                .values()
                .for_each(|value| references(document, value));
        }
        Value::Array(values) => values.iter().for_each(|value| references(document, value)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[test]
fn the_reference_names_every_endpoint() {
    let reference = include_str!("../../../../../../docs/reference/api.md");
    let world = World::new("");
    for (path, method, operation) in world.description.operations() {
        let (summary, need) = (
            operation["summary"].as_str().unwrap(),
            &operation["x-layerhouse-need"],
        );
        let words = ["role", "deed", "kind"];
        let need = words.iter().find_map(|word| need[word].as_str()).unwrap();
        let need = match need {
            "signed-in" => "signed in",
            "admin" => "administrator",
            other => other,
        };
        let row = format!("| `{method} {path}` | {summary} | {need} |");
        assert!(
            reference.contains(&row),
            "docs/reference/api.md has no {row}"
        );
    }
}
