//! The API's description, OpenAPI 3.1, made from the table and from the types of the handlers.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::endpoint::{Endpoint, Handler};
use super::input::Place;
use super::problem::Problems;
use super::table;
use crate::api::cookies::SESSION;

/// Everything but where the server is.
static DESCRIPTION: LazyLock<Value> = LazyLock::new(|| describe(&table::ENDPOINTS));

/// The description, for a client to whom the API is at this URL.
pub(super) fn document(url: &str) -> Value {
    let mut document = DESCRIPTION.clone();
    document["servers"] = json!([{ "url": url }]);
    document
}

fn describe(endpoints: &[Endpoint]) -> Value {
    let settings = || {
        SchemaSettings::draft2020_12().with(|settings| {
            settings.definitions_path = "/components/schemas".into();
            settings.meta_schema = None;
        })
    };
    let mut reading = settings().for_deserialize().into_generator();
    let mut writing = settings().for_serialize().into_generator();
    let problems = writing.subschema_for::<Problems>().to_value();
    let mut paths: BTreeMap<&str, Map<String, Value>> = BTreeMap::new();
    for endpoint in endpoints {
        let operation = operation(endpoint, &mut reading, &mut writing);
        let path = if endpoint.path.is_empty() {
            "/"
        } else {
            endpoint.path
        };
        let verb = endpoint.verb.as_str().to_lowercase();
        paths.entry(path).or_default().insert(verb, operation);
    }
    let mut schemas = writing.take_definitions(true);
    for (name, schema) in reading.take_definitions(true) {
        let before = schemas.insert(name.clone(), schema.clone());
        let is_one = before.is_none_or(|before| before == schema);
        assert!(is_one, "{name} is read in one form and written in another");
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Layerhouse",
            "version": env!("CARGO_PKG_VERSION"),
            "summary": "Accounts, namespaces, tokens, repositories, search",
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "paths": paths,
        "components": {
            "schemas": schemas,
            "responses": { "Problem": {
                "description": "Why not.",
                "content": { "application/json": { "schema": problems } },
            }},
            "securitySchemes": {
                "password": { "type": "http", "scheme": "basic" },
                "token": { "type": "http", "scheme": "bearer" },
                "session": { "type": "apiKey", "in": "cookie", "name": SESSION },
            },
        },
    })
}

fn operation(
    endpoint: &Endpoint,
    reading: &mut SchemaGenerator,
    writing: &mut SchemaGenerator,
) -> Value {
    let mut parameters: Vec<Value> = endpoint.template.parameters().map(path_parameter).collect();
    let (place, describe) = &endpoint.input;
    let input = describe(reading).map(schemars::Schema::to_value);
    let mut operation = json!({
        "operationId": endpoint.id,
        "summary": endpoint.summary,
        "x-layerhouse-need": need(&endpoint.handler),
        "security": security(&endpoint.handler),
        "responses": responses(endpoint, writing),
    });
    match (place, input) {
        (Place::Body, Some(schema)) => {
            operation["requestBody"] = json!({
                "required": true,
                "content": { "application/json": { "schema": schema } },
            });
        }
        (Place::Query, Some(schema)) => parameters.extend(query_parameters(&schema)),
        (Place::Nowhere | Place::Body | Place::Query, _) => {}
    }
    if !parameters.is_empty() {
        operation["parameters"] = json!(parameters);
    }
    operation
}

/// What the tests make their matrix from.
fn need(handler: &Handler) -> Value {
    match handler {
        Handler::Anyone(_) => json!({ "kind": "anyone" }),
        Handler::SignedIn(_) => json!({ "kind": "signed-in" }),
        Handler::Admin(_) | Handler::Operator(_) => json!({ "kind": "admin" }),
        Handler::Namespace(role, _) => json!({ "kind": "namespace", "role": role.as_str() }),
        Handler::Repository(deed, _) | Handler::Tended(deed, _) => {
            json!({ "kind": "repository", "deed": deed.as_str() })
        }
    }
}

fn security(handler: &Handler) -> Value {
    let mut means = vec![
        json!({ "password": [] }),
        json!({ "token": [] }),
        json!({ "session": [] }),
    ];
    let is_open = matches!(
        handler,
        Handler::Anyone(_) | Handler::Repository(..) | Handler::Tended(..)
    );
    if is_open {
        means.insert(0, json!({}));
    }
    json!(means)
}

fn path_parameter(name: &str) -> Value {
    let (description, schema) = match name {
        "repository" => (
            "The name of a repository. Its slashes may stand as they are, or as %2F.",
            json!({ "type": "string", "minLength": 1, "maxLength": 255 }),
        ),
        "tag" => (
            "A tag.",
            json!({ "type": "string", "pattern": "^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$" }),
        ),
        "digest" => (
            "A manifest's digest.",
            json!({ "type": "string", "minLength": 1, "maxLength": 255 }),
        ),
        "id" => (
            "As a list or the answer that made it says.",
            json!({ "type": "string", "pattern": "^[0-9]{1,19}$" }),
        ),
        "user" => (
            "The name of a user or robot.",
            json!({ "type": "string", "minLength": 1, "maxLength": 129 }),
        ),
        "robot" => (
            "What stands behind the plus sign in the robot's name.",
            json!({ "type": "string", "minLength": 1, "maxLength": 64 }),
        ),
        _ => (
            "A name.",
            json!({ "type": "string", "minLength": 1, "maxLength": 64 }),
        ),
    };
    json!({ "name": name, "in": "path", "required": true, "description": description, "schema": schema })
}

/// Properties of an object as parameters of a query.
fn query_parameters(schema: &Value) -> Vec<Value> {
    let required: Vec<&str> = schema["required"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let properties = schema["properties"].as_object().into_iter().flatten();
    let parameters = properties.map(|(name, schema)| {
        let mut schema = schema.clone();
        let description = schema
            .as_object_mut()
            .and_then(|schema| schema.remove("description"));
        without_null(&mut schema);
        let mut parameter = json!({
            "name": name,
            "in": "query",
            "required": required.contains(&name.as_str()),
            "schema": schema,
        });
        if let Some(description) = description {
            parameter["description"] = description;
        }
        parameter
    });
    parameters.collect()
}

/// A query can leave something out; it cannot say that it is null.
fn without_null(schema: &mut Value) {
    if let Some(kinds) = schema.get_mut("type")
        && let Some([kind, _]) = kinds.as_array().map(Vec::as_slice)
    {
        *kinds = kind.clone();
    }
    if let Some([only, null]) = schema
        .get("anyOf")
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        && null["type"] == "null"
    {
        *schema = only.clone();
    }
    if let Some(schema) = schema.as_object_mut() {
        schema.remove("default");
    }
}

/// What may come of it, beside what is our fault.
fn responses(endpoint: &Endpoint, writing: &mut SchemaGenerator) -> Value {
    let (status, describe) = &endpoint.output;
    let mut responses = Map::new();
    let mut success = json!({ "description": "Done." });
    if let Some(schema) = describe(writing) {
        success["content"] = json!({ "application/json": { "schema": schema.to_value() } });
    }
    responses.insert(status.as_str().to_owned(), success);
    let is_changing = !endpoint.verb.is_safe();
    let has_parameters = endpoint.template.parameters().next().is_some();
    let has_body = matches!(endpoint.input.0, Place::Body);
    let is_open = matches!(endpoint.handler, Handler::Anyone(_));
    let problems = [
        ("400", has_body),
        ("401", true),
        // Another site's page, a token with limits, or a role that is too low.
        ("403", is_changing || !is_open),
        ("404", has_parameters || endpoint.may_miss),
        ("409", endpoint.may_conflict),
        ("413", has_body),
        ("415", has_body),
        ("422", true),
        ("429", true),
    ];
    for (status, _) in problems.into_iter().filter(|(_, may_be)| *may_be) {
        let problem = json!({ "$ref": "#/components/responses/Problem" });
        responses.insert(status.to_owned(), problem);
    }
    Value::Object(responses)
}
