// Goes through the faces by keys, keeps a decision for each in the browser and saves them as CSV.
const faces = [...document.querySelectorAll('.face')];
const key = `faces as anomalies, page ${document.body.dataset.key}`;
const KEYS = { p: 'photographic', g: 'AI-generated', u: 'unsure', x: '' };
let kept = true;  // whether the browser keeps decisions

const chosen = () => document.querySelector('.filter :checked').value;
const shown = face => !chosen() || face.dataset.verdict === chosen();
const current = () => faces.indexOf(document.activeElement.closest('.face'));

function go(step, wanted = shown) {
  let at = current();
  if (at < 0 && step < 0) return;
  do at += step; while (faces[at] && !wanted(faces[at]));
  faces[at]?.focus();
}

function decide(face, decision) {
  mark(face, decision);
  keep();
}

function mark(face, decision) {
  if (decision) face.dataset.decision = decision;
  else delete face.dataset.decision;
  for (const button of face.querySelectorAll('.decide button'))
    button.setAttribute('aria-pressed', String(button.value === decision));
}

function keep() {
  const decisions = {};
  faces.forEach((face, place) => {
    if (face.dataset.decision) decisions[place] = face.dataset.decision;
  });
  try {
    localStorage.setItem(key, JSON.stringify(decisions));
  } catch {
    kept = false;
  }
  tell();
}

function recall() {
  let decisions = {};
  try {
    decisions = JSON.parse(localStorage.getItem(key)) ?? {};
  } catch {
    kept = false;
  }
  faces.forEach((face, place) => {
    const decision = Object.values(KEYS).includes(decisions[place]) ? decisions[place] : '';
    if (decision !== (face.dataset.decision ?? '')) mark(face, decision);
  });
  tell();
}

function tell() {
  const status = document.querySelector('.save p');
  const decided = faces.filter(face => face.dataset.decision).length;
  const lost = kept ? '' : '; this browser keeps none: save them before you leave';
  status.textContent = `${decided} of ${faces.length} decided${lost}`;
  status.classList.toggle('warning', !kept);
  document.querySelector('.save button').disabled = !decided;
}

function csv() {
  const rows = faces.filter(face => face.dataset.decision).map(face => {
    const { path, box, p, verdict, decision } = face.dataset;
    return [`"${path.replaceAll('"', '""')}"`, box || ',,,', p, verdict, decision].join(',');
  });
  return ['path,box_x0,box_y0,box_x1,box_y1,p_value,verdict,decision', ...rows, ''].join('\n');
}

function save() {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(new Blob([csv()], { type: 'text/csv' }));
  link.download = `${document.body.dataset.stem}-decisions.csv`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

function open(face) {
  const details = face.querySelector('details');
  details.open = !details.open;
  face.focus();
}

const buttons = document.querySelector('template').content;
for (const face of faces) face.querySelector('.facts').append(buttons.cloneNode(true));
for (const hidden of document.querySelectorAll('aside [hidden]')) hidden.hidden = false;
recall();

addEventListener('storage', recall);  // the same page in another tab
document.querySelector('.save button').addEventListener('click', save);
document.querySelector('.faces').addEventListener('click', ({ target }) => {
  const face = target.closest('.face'), button = target.closest('.decide button');
  if (button) decide(face, button.value === face.dataset.decision ? '' : button.value);
  if (face && !target.closest('button, summary')) face.focus();
});
document.addEventListener('keydown', event => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  // A click leaves the focus on the filter: arrows choose there, all other keys lead on.
  if (event.key.startsWith('Arrow') && event.target.matches('input')) return;
  const face = faces[current()];
  if (event.key === 'j' || event.key === 'ArrowRight') go(1);
  else if (event.key === 'k' || event.key === 'ArrowLeft') go(-1);
  else if (event.key === 'n') go(1, each => shown(each) && !each.dataset.decision);
  else if (event.key === 'o' && face) open(face);
  else if (event.key in KEYS && face) {
    decide(face, KEYS[event.key]);
    if (KEYS[event.key]) go(1);
  } else return;
  event.preventDefault();
});
