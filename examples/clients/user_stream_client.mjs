// The broadcast dialect: a welcome, then every record. Node 20 with the `ws` package, or a browser.
const WebSocketClass = globalThis.WebSocket ?? (await import('ws')).WebSocket;

let records = 0, last = null;

function connect() {
    const ws = new WebSocketClass(process.argv[2] ?? 'ws://localhost:8765');
    ws.onopen = () => console.log('Connected to user stream!');
    ws.onmessage = (event) => {
        const message = JSON.parse(event.data);
        if (message.type === 'welcome') return console.log(message.message);
        if (last !== null && message.stream_sequence > last + 1) console.log(`Missed ${message.stream_sequence - last - 1} records`);
        last = message.stream_sequence;
        console.log(`#${++records} (Stream #${last}): ${message.name.first} ${message.name.last} from ${message.location.country}`);
    };
    ws.onerror = () => {};  // onclose follows
    ws.onclose = () => setTimeout(connect, 1000 + Math.random() * 1000);
}
connect();
