// The spc dialect: samples, violations and acknowledgements of some characteristics. Node 20 with the `ws` package, or a browser.
const WebSocketClass = globalThis.WebSocket ?? (await import('ws')).WebSocket;

const ws = new WebSocketClass(process.argv[2] ?? 'ws://localhost:8000/ws');
let heartbeat;

ws.onopen = () => {
    ws.send(JSON.stringify({ type: 'subscribe', characteristic_ids: [1, 2, 3] }));
    heartbeat = setInterval(() => ws.send(JSON.stringify({ type: 'ping' })), 30000);
};

ws.onmessage = (event) => {
    const message = JSON.parse(event.data);
    switch (message.type) {
        case 'subscribed': console.log('Subscribed:', JSON.stringify(message.characteristic_ids)); break;
        case 'sample': console.log('New sample:', JSON.stringify(message.payload)); break;
        case 'violation': console.log('Violation:', JSON.stringify(message.payload)); break;
        case 'ack_update': console.log('Acknowledged:', JSON.stringify(message.payload)); break;
        case 'error': console.error('Error:', message.message, JSON.stringify(message.characteristic_ids ?? [])); break;
    }
};

ws.onclose = (event) => {
    clearInterval(heartbeat);
    console.log('Closed', event.code);
};
