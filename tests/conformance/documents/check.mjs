// /openapi.json and /asyncapi.json by foreign validators, and against the server that serves them: `check.mjs <gateway_server>`.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import SwaggerParser from '@apidevtools/swagger-parser';
import { Parser } from '@asyncapi/parser';

const server = spawn(process.argv[2], [mkdtempSync(join(tmpdir(), 'weir-documents-')), 'stream=events', 'window=5min:events:/v'], { stdio: ['pipe', 'pipe', 'inherit'] });
try {
    const port = Number(String(await new Promise((resolve) => server.stdout.once('data', resolve))).split(' ')[1]);
    const base = `http://127.0.0.1:${port}`;
    const get = async (path) => (await fetch(base + path)).json();

    const openapi = await get('/openapi.json');
    await SwaggerParser.validate(structuredClone(openapi));
    const operations = Object.entries(openapi.paths).flatMap(([path, methods]) => Object.entries(methods).map(([method, operation]) => ({ path, method, operation })));
    assert.equal(new Set(operations.map(({ operation }) => operation.operationId)).size, operations.length);
    // Every path is answered, by the answer's own type, and no other method is taken for it.
    const values = { stream: 'events', name: '5min', client_id: 'none', field: '/v' };
    for (const { path, method, operation } of operations) {
        if (/characteristics|samples|violations|alerts/.test(path)) {
            // Nobody judges samples or looks for alerts in this server: tests/e2e/test_spc.py and test_alerts.py ask for those answers. That the path, the method and the errors are as the document says is seen from requests that cannot be.
            const reads = method === 'get' && !path.includes('{') && !path.endsWith('/samples');
            const answer = await fetch(base + path.replace(/{\w+}/g, 'none'), { method: method.toUpperCase(), body: operation.requestBody ? '[' : undefined, headers: { 'Content-Type': 'application/json' } });
            assert.ok(reads ? answer.status === 200 : answer.status === 400 || answer.status === 404, `${method} ${path}: ${answer.status}`);
            assert.ok(String(answer.status) in operation.responses, `${method} ${path}: ${answer.status} is not in the document`);
            continue;
        }
        const url = new URL(base + path.replace(/{(\w+)}/g, (_, name) => values[name]));
        for (const parameter of operation.parameters)
            if (parameter.required && parameter.in === 'query') url.searchParams.set(parameter.name, values[parameter.name]);
        const stop = new AbortController();
        const body = method === 'post' ? JSON.stringify(path.endsWith('notices') ? { message: 'm' } : { data: {} }) : undefined;
        const answer = await fetch(url, { method, body, headers: body ? { 'Content-Type': 'application/json' } : {}, signal: stop.signal });
        const expected = path.includes('{client_id}') ? 404 : 200;
        assert.equal(answer.status, expected, `${method} ${url}`);
        const type = answer.headers.get('content-type');
        assert.ok(expected === 404 || Object.keys(operation.responses[200].content).some((t) => type.startsWith(t)), `${url}: ${type}`);
        if (expected === 404) assert.equal((await answer.json()).error.code, 'unknown_session');
        stop.abort();
    }

    const asyncapi = await get('/asyncapi.json');
    const { document, diagnostics } = await new Parser().parse(JSON.stringify(asyncapi));
    assert.deepEqual(diagnostics.filter((d) => d.severity === 0), []);
    assert.ok(document);
    assert.deepEqual(Object.keys(asyncapi.channels), ['/', '/stream', '/ws', '/feed/{stream}']);
    assert.ok(asyncapi['x-errors'].some((e) => e.code === 'rate_limited' && e.text === 'Rate limit exceeded' && e.retry === 'later'));
    console.log(`${operations.length} operations, ${Object.keys(asyncapi.components.messages).length} messages, ${asyncapi['x-errors'].length} errors`);
} finally {
    server.kill('SIGTERM');
}
