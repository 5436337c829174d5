// The report's page in a real browser (Chromium through playwright-core): what a person does with it, and that nothing is complained about.
//
//   node report-browser.mjs CHROMIUM PAGE DIRECTORY     screenshots go to DIRECTORY; one line per fact, exit status 1 where one does not hold
import {createRequire} from 'node:module';
import {pathToFileURL} from 'node:url';
import path from 'node:path';

const [chromium, page, out] = process.argv.slice(2);
const require = createRequire(path.join(process.env.ASSAY_PLAYWRIGHT || process.cwd(), 'x.js'));
const playwright = require('playwright-core');
let failures = 0;
const fact = (text, holds, saw) => {
	console.log((holds ? 'ok   ' : 'FAIL ') + text + (holds ? '' : `: ${saw}`));
	failures += !holds;
};

const browser = await playwright.chromium.launch({executablePath: chromium, args: ['--no-sandbox']});
const complaints = [];
async function open(options) {
	const tab = await (await browser.newContext(options)).newPage();
	tab.on('console', m => { if (['error', 'warning'].includes(m.type())) complaints.push(m.text()); });
	tab.on('pageerror', e => complaints.push(String(e)));
	tab.on('request', r => { if (!r.url().startsWith('file:') && !r.url().startsWith('data:')) complaints.push('asks for ' + r.url()); });
	const began = Date.now();
	await tab.goto(pathToFileURL(path.resolve(page)).href);
	await tab.waitForSelector('#tools:not([hidden])');
	return {tab, took: Date.now() - began};
}

const {tab, took} = await open({viewport: {width: 1280, height: 900}});
const rows = () => tab.locator('#packages tbody tr').count();
const shown = () => tab.locator('#shown').innerText();
// What was asked for is drawn with the next frame.
const filtered = yes => tab.waitForFunction(yes => document.getElementById('shown').textContent.includes(' of ') === yes, yes);
const total = Number((await shown()).split(' ')[0]);
console.log(`     ${total} packages, open after ${took} ms`);
fact('the table says how many there are', total > 0, await shown());
fact('and draws no more than a hundred at once', await rows() <= 100, await rows());
const first = await tab.locator('#packages tbody button.open').first().innerText();

const timed = async (what, act) => {
	const ms = await tab.evaluate(act);
	console.log(`     ${what}: ${ms.toFixed(0)} ms`);
	return ms;
};
const search = await timed('search', () => new Promise(done => {
	const find = document.getElementById('find'), began = performance.now();
	find.value = 'package-0001';
	find.dispatchEvent(new Event('input'));
	requestAnimationFrame(() => requestAnimationFrame(() => done(performance.now() - began)));
}));
const sort = await timed('sort', () => new Promise(done => {
	document.getElementById('find').value = '';
	const began = performance.now();
	document.querySelectorAll('#packages thead button')[1].click();
	requestAnimationFrame(() => requestAnimationFrame(() => done(performance.now() - began)));
}));
if (total > 5000)
	fact('both are quick', search < 1000 && sort < 3000, `${search} ms, ${sort} ms`);

await tab.fill('#find', first);
await filtered(true);
fact('a search finds the package', (await tab.locator('#packages tbody').innerText()).includes(first), first);
await tab.fill('#find', 'no such package anywhere');
await tab.waitForFunction(() => !document.querySelector('#packages tbody tr'));
fact('one for nothing finds nothing', (await shown()).startsWith('0 of '), await shown());
await tab.fill('#find', '');
await filtered(false);
if (await tab.locator('#only').count()) {
	const verdict = await tab.locator('#only option').nth(1).innerText();
	await tab.selectOption('#only', verdict);
	await tab.waitForFunction(v => [...document.querySelectorAll('#packages tbody tr td:first-child')].every(c => c.innerText.includes(v)), verdict);
	fact('the filter leaves one verdict', await rows() > 0, await rows());
	await tab.selectOption('#only', '');
	await filtered(false);
}
await tab.selectOption('#status', 'pass');
const column = await tab.locator('#only').count() ? 4 : 2;
await tab.waitForFunction(c => [...document.querySelectorAll(`#packages tbody td:nth-child(${c})`)].every(d => d.innerText === 'pass'), column);
fact('another leaves one status', true);
await tab.selectOption('#status', '');
await filtered(false);
const open1 = tab.locator('#packages tbody button.open').first();
await open1.click();
fact('a package opens', await tab.locator('tr.panel').count() === 1, await tab.locator('tr.panel').count());
fact('and says how to repeat it', (await tab.locator('tr.panel').innerText()).includes('assay rerun '), await tab.locator('tr.panel').innerText());
fact('as a shell would read it', /assay rerun \d+ \S+( --state \S+)?\s/.test(await tab.locator('tr.panel').innerText()), await tab.locator('tr.panel').innerText());
fact('which is told to who listens', await open1.getAttribute('aria-expanded') === 'true', await open1.getAttribute('aria-expanded'));
await tab.screenshot({path: path.join(out, 'panel.png')});
await open1.click();
fact('and closes', await tab.locator('tr.panel').count() === 0, await tab.locator('tr.panel').count());
const regressed = await tab.locator('#only option', {hasText: 'regressed'}).count();
if (total > 5000)
	fact('of so many some regressed', regressed > 0, '');
if (regressed) {
	await tab.selectOption('#only', 'regressed');
	await tab.waitForFunction(() => [...document.querySelectorAll('#packages tbody tr td:first-child')].every(c => c.innerText.includes('regressed')));
	const bad = tab.locator('#packages tbody button.open').first(), log = tab.locator('tr.panel details.log').first();
	await bad.click();
	await log.locator('summary').click();
	const text = await log.locator('pre').first().innerText();
	fact('what failed shows how its log begins', text.startsWith('line 1\nline 2\n'), text.slice(0, 80));
	fact('and how it ends, markup and all', text.includes('\u2401</pre><script>') && text.endsWith('the end'), text.slice(-80));
	fact('and that something is between', text.includes(' left out …') && !text.includes('line 1500\n'), text.length);
	fact('and nothing in it is run', await tab.title() !== 'taken over', await tab.title());
	await tab.screenshot({path: path.join(out, 'log.png')});
	await bad.click();
	await tab.selectOption('#only', '');
	await filtered(false);
}
if (total > 100) {
	await tab.click('#more');
	fact('more are shown when asked for', await rows() > 100, await rows());
}
await tab.evaluate(() => scrollTo(0, 0));
await tab.screenshot({path: path.join(out, 'light.png')});
await tab.locator('#charts').scrollIntoViewIfNeeded();
await tab.screenshot({path: path.join(out, 'charts.png')});

const dark = (await open({viewport: {width: 1280, height: 900}, colorScheme: 'dark'})).tab;
fact('it is dark where that is wanted', await dark.evaluate(() => {
	const c = getComputedStyle(document.documentElement).backgroundColor.match(/\d+/g).map(Number);
	return c[0] + c[1] + c[2] < 200;
}), '');
await dark.screenshot({path: path.join(out, 'dark.png')});
const phone = (await open({viewport: {width: 390, height: 844}, isMobile: true, hasTouch: true})).tab;
fact('on a phone nothing sticks out', await phone.evaluate(() => document.documentElement.scrollWidth <= innerWidth + 1),
	await phone.evaluate(() => document.documentElement.scrollWidth));
await phone.screenshot({path: path.join(out, 'phone.png')});
await tab.emulateMedia({media: 'print'});
fact('printed it has no tools', await tab.locator('#tools').isHidden(), '');
const plain = await (await browser.newContext({javaScriptEnabled: false})).newPage();
await plain.goto(pathToFileURL(path.resolve(page)).href);
fact('without scripts there are rows to read', await plain.locator('#packages tbody tr').count() > 0, '');
fact('and no tools that do nothing', await plain.locator('#tools').isHidden(), '');
fact('nothing was complained about', complaints.length === 0, complaints.join(' | '));
await browser.close();
process.exit(failures ? 1 : 0);
