/** Goal: a pattern means what the files of rules say it means, and costs little whatever the name is. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  PATTERN_CHARS_MAX,
  firstMatch,
  matches,
  matchesClient,
  patternProblem,
} from '#daemon/config/name-pattern.js';

describe('a pattern of names', () => {
  it('without a star matches the whole name only, character by character', () => {
    assert.ok(matches('vm-1', 'vm-1'));
    for (const other of ['vm-1x', 'xvm-1', 'vm-', 'VM-1', '']) assert.ok(!matches('vm-1', other));
    assert.ok(!matches('vm.1', 'vmx1'), 'a dot is a dot');
    assert.ok(!matches('vm-[0-9]', 'vm-1'), 'brackets are brackets');
  });

  it('has in each star any number of any characters, also none', () => {
    for (const name of ['vm-', 'vm-1', 'vm-1.2/3']) assert.ok(matches('vm-*', name), name);
    assert.ok(!matches('vm-*', 'vm'));
    assert.ok(matches('*', ''));
    assert.ok(matches('a*b*c', 'abbbcabc'));
    assert.ok(!matches('a*b*c', 'abbbcab'));
    assert.ok(matches('**a', 'bba'));
  });

  it('takes short even where stars could be placed in a great many ways', () => {
    const begun = process.cpuUsage().user;
    assert.ok(!matches('*a'.repeat(50), `${'a'.repeat(20_000)}b`));
    const spentMs = (process.cpuUsage().user - begun) / 1000;
    assert.ok(spentMs < 2000, `${spentMs} ms of processor time`);
  });

  it('does not mind the case of host names, but that of URIs', () => {
    assert.ok(matchesClient('Dom0-*.Example.org', 'dom0-A.example.ORG'));
    assert.ok(matchesClient('spiffe://a/B*', 'spiffe://a/Bc'));
    assert.ok(!matchesClient('spiffe://a/B*', 'spiffe://a/bc'));
  });

  it('tells which pattern fits which of several names', () => {
    assert.deepEqual(firstMatch(['x', 'b*'], ['a', 'bc']), { pattern: 'b*', name: 'bc' });
    assert.equal(firstMatch(['x'], ['a', 'b']), undefined);
    assert.equal(firstMatch(['*'], []), undefined, 'who has no name is nobody');
  });

  it('is refused when it is empty, longer than the limit, or has blanks at an end', () => {
    assert.equal(patternProblem('a b'), undefined);
    assert.equal(patternProblem('x'.repeat(PATTERN_CHARS_MAX)), undefined);
    assert.match(patternProblem('x'.repeat(PATTERN_CHARS_MAX + 1)) ?? '', /at most 512/);
    assert.equal(patternProblem(''), 'a pattern is empty; write "*" for every name');
    assert.equal(patternProblem('vm-1 '), '"vm-1 " begins or ends with a blank');
  });
});
