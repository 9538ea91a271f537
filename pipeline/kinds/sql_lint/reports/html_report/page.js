"use strict";
(() => {
  const form = document.getElementById("filter");
  if (!form) return;
  const byId = (id) => document.getElementById(id);
  const files = [...document.querySelectorAll("details.file")].map((node) => ({
    node,
    path: node.querySelector(".path").textContent.toLowerCase(),
    rules: node.dataset.r.split(" "),
    severities: node.dataset.s.split(" "),
    anyNew: node.dataset.n !== "0",
    cut: node.dataset.cut === "1",
    messages: [...node.querySelectorAll(".msg")].map((line) => ({ line, text: null })),
  }));
  const fresh = byId("new");

  const wanted = () => ({
    text: byId("text").value.trim().toLowerCase(),
    rule: byId("rule").value,
    severity: byId("severity").value,
    fresh: Boolean(fresh && fresh.checked),
  });

  const says = (message, text) => {
    if (message.text === null) message.text = message.line.textContent.toLowerCase();
    return message.text.includes(text);
  };

  const matches = (message, want, named) =>
    (!want.rule || message.line.dataset.r === want.rule) &&
    (!want.severity || message.line.dataset.s === want.severity) &&
    (!want.fresh || message.line.classList.contains("new")) &&
    (named || says(message, want.text));

  const hideLoneLines = (file) => {
    // A source line goes when none of the messages below it is left.
    for (const hit of file.node.querySelectorAll(".l.hit")) {
      let next = hit.nextElementSibling;
      let left = false;
      while (next && next.classList.contains("msg")) {
        left = left || !next.hidden;
        next = next.nextElementSibling;
      }
      hit.hidden = !left;
    }
  };

  const showFile = (file, want) => {
    const named = !want.text || file.path.includes(want.text);
    let left = 0;
    for (const message of file.messages) {
      message.line.hidden = !matches(message, want, named);
      if (!message.line.hidden) left += 1;
    }
    // What the page does not show of a long file may match as well.
    const maybe =
      (file.cut || !file.messages.length) &&
      named &&
      (!want.rule || file.rules.includes(want.rule)) &&
      (!want.severity || file.severities.includes(want.severity)) &&
      (!want.fresh || file.anyNew);
    file.node.hidden = !(left || maybe);
    hideLoneLines(file);
    return !file.node.hidden;
  };

  const apply = () => {
    const want = wanted();
    const active = Boolean(want.text || want.rule || want.severity || want.fresh);
    document.body.classList.toggle("filtered", active);
    let shown = 0;
    for (const file of files) shown += showFile(file, want) ? 1 : 0;
    byId("nothing").hidden = shown > 0;
    byId("shown").textContent = active
      ? `${shown.toLocaleString("en")} of ${files.length.toLocaleString("en")} files`
      : `${files.length.toLocaleString("en")} files`;
    for (const button of document.querySelectorAll("[data-pick]"))
      button.setAttribute("aria-pressed", String(button.dataset.pick === want.rule));
  };

  let timer = 0;
  const soon = () => {
    clearTimeout(timer);
    timer = setTimeout(apply, 120);
  };
  form.addEventListener("input", soon);
  form.addEventListener("reset", soon);
  form.addEventListener("submit", (event) => event.preventDefault());
  const setAll = (open) => {
    for (const file of files) if (!file.node.hidden) file.node.open = open;
  };
  byId("unfold").addEventListener("click", () => setAll(true));
  byId("fold").addEventListener("click", () => setAll(false));
  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-pick]");
    if (!button) return;
    const rule = byId("rule");
    rule.value = rule.value === button.dataset.pick ? "" : button.dataset.pick;
    apply();
    form.scrollIntoView({ block: "start" });
  });
  document.addEventListener("keydown", (event) => {
    const typing = /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName);
    if (event.key !== "/" || typing || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    byId("text").focus();
  });
  const follow = () => {
    const target = location.hash.length > 1 && byId(location.hash.slice(1));
    if (!target || !target.matches("details.file")) return;
    target.hidden = false;
    target.open = true;
    target.scrollIntoView({ block: "start" });
  };
  addEventListener("hashchange", follow);
  form.hidden = false;
  apply();
  follow();
})();
