// What is nicer with a script: copying, choosing all rows, filtering as one types, keys. Nothing needs it.
const said = document.getElementById("said");
const say = (text) => { if (said) said.textContent = text; };

for (const button of document.querySelectorAll("button.copy")) {
  button.hidden = false;
  button.addEventListener("click", async () => {
    const text = button.dataset.copy;
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      // Over plain HTTP there is no clipboard: the old way.
      const area = document.createElement("textarea");
      area.value = text;
      document.body.append(area);
      area.select();
      document.execCommand("copy");
      area.remove();
      button.focus();
    }
    button.classList.add("done");
    say(document.body.dataset.copied);
    setTimeout(() => { button.classList.remove("done"); say(""); }, 1500);
  });
}

// <input type=checkbox data-all="tag"> chooses all of that name.
for (const all of document.querySelectorAll("input[data-all]")) {
  all.hidden = false;
  const boxes = document.querySelectorAll(`input[type=checkbox][name="${all.dataset.all}"]`);
  all.addEventListener("change", () => { for (const box of boxes) box.checked = all.checked; });
}

// <input data-filter="#rows"> hides rows that do not have its words.
for (const input of document.querySelectorAll("input[data-filter]")) {
  const rows = document.querySelectorAll(`${input.dataset.filter} tbody tr`);
  input.addEventListener("input", () => {
    const words = input.value.toLowerCase().split(/\s+/);
    for (const row of rows) {
      const text = row.textContent.toLowerCase();
      row.hidden = !words.every((word) => text.includes(word));
    }
  });
}

// Selects that lead elsewhere need no button then.
for (const select of document.querySelectorAll("select[data-submits], .bottom select")) {
  select.addEventListener("change", () => select.form.requestSubmit());
}

const rows = () => [...document.querySelectorAll("tbody tr, .list > li")].filter((row) => row.querySelector("a"));
let at = -1;
let before = "";
const move = (step) => {
  const all = rows();
  if (all.length === 0) return;
  at = Math.min(Math.max(at + step, 0), all.length - 1);
  all[at].querySelector("a").focus();
};

document.addEventListener("keydown", (event) => {
  const target = event.target;
  if (event.ctrlKey || event.metaKey || event.altKey || target.isContentEditable) return;
  if (/^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName) && target.type !== "checkbox") {
    if (event.key === "Escape") target.blur();
    return;
  }
  const keys = {
    "/": () => document.getElementById("find")?.select(),
    j: () => move(1),
    k: () => move(-1),
    x: () => rows()[at]?.querySelector("input[type=checkbox]")?.click(),
    c: () => (rows()[at] ?? document).querySelector("button.copy")?.click(),
  };
  if (before === "g" && event.key === "h") {
    document.querySelector(".brand")?.click();
  } else if (keys[event.key]) {
    event.preventDefault();
    keys[event.key]();
  }
  before = event.key;
});
