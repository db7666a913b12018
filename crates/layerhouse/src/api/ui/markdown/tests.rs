use proptest::prelude::*;

use super::*;

#[track_caller]
fn check(source: &str, expected: &str) {
    assert_eq!(html(source).trim_end(), expected, "{source:?}");
}

#[test]
fn the_usual_becomes_elements() {
    check(
        "a *b* **c** ~~d~~ `e<f`",
        "<p>a <em>b</em> <strong>c</strong> <del>d</del> <code>e&lt;f</code></p>",
    );
    check(
        "- [x] a\n- [ ] b",
        "<ul>\n<li>☑ a</li>\n<li>☐ b</li>\n</ul>",
    );
    check("3. a", "<ol start=\"3\">\n<li>a</li>\n</ol>");
    check("> a", "<blockquote>\n<p>a</p>\n</blockquote>");
    check(
        "```sh\ndocker pull <x>\n```",
        "<pre tabindex=\"0\"><code>docker pull &lt;x&gt;\n</code></pre>",
    );
    check("a  \nb<br/>c", "<p>a<br>\nb<br>c</p>");
    check(
        "|a|b|\n|-|-:|\n|c|d|",
        "<div class=\"scroll\" tabindex=\"0\"><table>\n<thead><tr><th scope=\"col\">a</th>\
         <th scope=\"col\" class=\"right\">b</th></tr></thead><tbody>\n\
         <tr><td>c</td><td class=\"right\">d</td></tr>\n</tbody></table></div>",
    );
    check(
        "a[^n]\n\n[^n]: b",
        "<p>a<sup><a href=\"#readme-note-1\">[1]</a></sup></p>\n\
         <div class=\"footnote\" id=\"readme-note-1\"><sup>[1]</sup> <p>b</p>\n</div>",
    );
}

#[test]
fn headings_stand_below_those_of_the_page_and_can_be_linked_to() {
    check(
        "# How `to` *use*",
        "<h3 id=\"readme-how-to-use\">How <code>to</code> <em>use</em></h3>",
    );
    check("###### a", "<h6 id=\"readme-a\">a</h6>");
    check(
        "# A\n# A!",
        "<h3 id=\"readme-a\">A</h3>\n<h3 id=\"readme-a-1\">A!</h3>",
    );
    check("# 安装 说明", "<h3 id=\"readme-安装-说明\">安装 说明</h3>");
    check("# !", "<h3>!</h3>");
    check("[to](#a)", "<p><a href=\"#readme-a\">to</a></p>");
}

#[test]
fn links_lead_only_to_where_they_may() {
    let link =
        |target: &str, text: &str| format!("<p><a href=\"{target}\" rel=\"{REL}\">{text}</a></p>");
    check(
        "[a](https://x.example/?a=1&b=\")",
        &link("https://x.example/?a=1&amp;b=&quot;", "a"),
    );
    check(
        "<https://x.example>",
        &link("https://x.example", "https://x.example"),
    );
    check("<me@x.example>", "<p>me@x.example</p>");
    check(
        "[a](mailto:me@x.example)",
        &link("mailto:me@x.example", "a"),
    );
    for target in [
        "javascript:alert(1)",
        "JaVaScRiPt:alert(1)",
        "data:text/html,x",
        "vbscript:x",
        "//x.example",
        "/admin",
        "x.html",
        "./docs/x.md",
        "../x.md#a",
        "?q=x",
        "<java\tscript:x>",
        "< javascript:x>",
        "javascript&colon;alert(1)",
        "file:///x",
    ] {
        check(&format!("[a]({target})"), "<p>a</p>");
    }
    check(
        "[a [b](https://b.example)](https://a.example)",
        &format!("<p>[a <a href=\"https://b.example\" rel=\"{REL}\">b</a>](https://a.example)</p>"),
    );
}

#[test]
fn pictures_are_links_with_their_alternative_text() {
    check(
        "![a *b*](https://x.example/p.png)",
        &format!("<p><a href=\"https://x.example/p.png\" rel=\"{REL}\">a b</a></p>"),
    );
    check(
        "![](https://x.example/p.png)",
        &format!("<p><a href=\"https://x.example/p.png\" rel=\"{REL}\">p.png</a></p>"),
    );
    check("![logo](docs/logo.svg)", "<p>logo</p>");
    check(
        "[![build](https://b.example/b.svg)](https://a.example)",
        &format!("<p><a href=\"https://a.example\" rel=\"{REL}\">build</a></p>"),
    );
    check("![a](javascript:x)", "<p>a</p>");
}

#[test]
fn raw_html_is_text() {
    check(
        "a <b onclick=x>c</b>",
        "<p>a &lt;b onclick=x&gt;c&lt;/b&gt;</p>",
    );
    check(
        "<script>alert(1)</script>",
        "<pre tabindex=\"0\"><code>&lt;script&gt;alert(1)&lt;/script&gt;</code></pre>",
    );
    check("<!-- not\nseen -->", "");
    check(
        "<!-- seen --><b>",
        "<pre tabindex=\"0\"><code>&lt;!-- seen --&gt;&lt;b&gt;</code></pre>",
    );
}

#[test]
fn the_output_is_bounded_and_closed() {
    let deep = html(&"> ".repeat(5000));
    assert!(deep.matches("<blockquote>").count() <= DEPTH_MAX);
    let long = html(&"- a\n".repeat(1 << 20));
    assert!(long.len() < HTML_BYTES_MAX + 1000);
    assert!(long.trim_end().ends_with("</ul>"));
    verify(&long).expect("closed");
    verify(&html(&"[".repeat(100_000))).expect("closed");
}

/// Reads HTML as strictly as we write it: known elements and attributes, in order, each closed.
fn verify(html: &str) -> Result<(), String> {
    const EMPTY: [&str; 2] = ["br", "hr"];
    const ELEMENTS: [&str; 27] = [
        "p",
        "h3",
        "h4",
        "h5",
        "h6",
        "blockquote",
        "pre",
        "code",
        "ul",
        "ol",
        "li",
        "div",
        "table",
        "thead",
        "tbody",
        "tr",
        "th",
        "td",
        "em",
        "strong",
        "del",
        "sup",
        "sub",
        "a",
        "br",
        "hr",
        "span",
    ];
    let mut open = Vec::new();
    let mut rest = html;
    while let Some(at) = rest.find('<') {
        rest = &rest[at + 1..];
        let end = rest.find('>').ok_or("an element does not end")?;
        let (tag, after) = (&rest[..end], &rest[end + 1..]);
        rest = after;
        if let Some(name) = tag.strip_prefix('/') {
            let last = open.pop();
            if last != Some(name) {
                return Err(format!("{last:?} is closed by {name}"));
            }
            continue;
        }
        let (name, mut attributes) = tag.split_once(' ').unwrap_or((tag, ""));
        if !ELEMENTS.contains(&name) {
            return Err(format!("<{tag}>"));
        }
        while !attributes.is_empty() {
            let (key, value) = attributes.split_once("=\"").ok_or("no value")?;
            let (value, more) = value.split_once('"').ok_or("an open quote")?;
            let is_known = match key {
                "href" => value.starts_with('#') || is_allowed(value),
                "id" => value.starts_with(ID_PREFIX),
                "rel" => value == REL,
                "start" => value.parse::<u64>().is_ok(),
                "tabindex" => value == "0",
                "scope" => value == "col",
                "class" => ["scroll", "footnote", "center", "right"].contains(&value),
                _ => false,
            };
            if !is_known {
                return Err(format!("{key}={value} in <{tag}>"));
            }
            attributes = more.trim_start();
        }
        if !EMPTY.contains(&name) {
            open.push(name);
        }
    }
    if open.is_empty() {
        return Ok(());
    }
    Err(format!("left open: {open:?}"))
}

fn hostile() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("<script>"),
        Just("</script>"),
        Just("<img src=x onerror=alert(1)>"),
        Just("[a]("),
        Just("javascript:alert(1)"),
        Just("https://x.example"),
        Just(")"),
        Just("!["),
        Just("]"),
        Just("\""),
        Just("'"),
        Just("<"),
        Just(">"),
        Just("\n"),
        Just("\n\n"),
        Just("# "),
        Just("- "),
        Just("> "),
        Just("|"),
        Just("|-|-|\n"),
        Just("`"),
        Just("```\n"),
        Just("*"),
        Just("**"),
        Just("~~"),
        Just("[^1]"),
        Just("[^1]: "),
        Just("    "),
        Just("<!--"),
        Just("-->"),
        Just("&#106;avascript:"),
        Just("&lt;"),
        Just("1. "),
        Just("[x] "),
        Just("<a href=\"x\">"),
        Just("\t"),
        Just("\\"),
        Just("\0"),
        Just("好"),
        Just("<https://x>"),
        Just(" onload=x "),
        Just("[a]: javascript:x\n"),
        Just("[a]: http://x \"t\"\n"),
    ];
    prop::collection::vec(piece, 0..60).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn whatever_it_says_only_what_we_know_comes_out(source in hostile()) {
        prop_assert_eq!(verify(&html(&source)), Ok(()), "{}", html(&source));
    }

    #[test]
    fn arbitrary_text_too(source in "\\PC*") {
        prop_assert_eq!(verify(&html(&source)), Ok(()));
    }
}
