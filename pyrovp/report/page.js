// Tables are sorted by a click on a column's name: down, up. Missing figures stay last.
for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0];
  [...table.tHead.rows[0].cells].forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = head.textContent;
    head.replaceChildren(button);
    button.addEventListener("click", () => {
      const up = head.getAttribute("aria-sort") === "descending";
      for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      const rows = [...body.rows].map((row) => {
        const cell = row.cells[column];
        const number = parseFloat(cell.dataset.value);
        return { row, number, text: cell.textContent };
      });
      const missing = (one) => Number.isNaN(one.number) && one.text === "-";
      rows.sort((a, b) => {
        if (missing(a) || missing(b)) return missing(a) - missing(b);
        const words = Number.isNaN(a.number) || Number.isNaN(b.number);
        const order = words
          ? a.text.localeCompare(b.text, undefined, { numeric: true })
          : a.number - b.number;
        return up ? order : -order;
      });
      body.append(...rows.map((one) => one.row));
    });
  });
}
