// A click on a column's title sorts the table by it, a second click turns the order round. Without script: a plain table.
for (const table of document.querySelectorAll('table.sortable')) {
  const body = table.tBodies[0];
  const heads = [...table.tHead.rows[table.tHead.rows.length - 1].cells];
  const key = (row, column) => {
    const cell = row.cells[column];
    return 'value' in cell.dataset ? Number(cell.dataset.value) : null;
  };
  const compare = (a, b, column, sign) => {
    const x = key(a, column), y = key(b, column);
    if (x === null && y === null) return sign * a.cells[column].textContent.localeCompare(b.cells[column].textContent);
    if (x === null || y === null) return x === null ? 1 : -1;  // what is not there stands last in either order
    return sign * (x - y);
  };
  heads.forEach((head, column) => {
    const button = document.createElement('button');
    button.type = 'button';
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener('click', () => {
      const order = head.getAttribute('aria-sort') === 'ascending' ? 'descending' : 'ascending';
      heads.forEach(other => other.removeAttribute('aria-sort'));
      head.setAttribute('aria-sort', order);
      const rows = [...body.rows].filter(row => !row.classList.contains('total'));
      rows.sort((a, b) => compare(a, b, column, order === 'ascending' ? 1 : -1));
      body.prepend(...rows);
    });
  });
}
