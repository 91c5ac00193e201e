'use strict'
// Runs in the browser: MQTT.js and bare WebSockets against the broker's doors, whose URLs come from
// /doors. Each test's result goes to /result, and "end" after the last one. The page that asks with
// #stranger is of another origin, and only looks at what that means.

const PATIENCE_MS = 20_000
const VERSIONS = [4, 5]

function check (condition, what) {
  if (!condition) throw new Error(what)
}

function same (found, wanted, what) {
  const [left, right] = [JSON.stringify(found), JSON.stringify(wanted)]
  check(left === right, `${what}: ${left} instead of ${right}`)
}

/** `promise`, or an error that says what was waited for. */
function patiently (promise, what) {
  let timer
  const end = new Promise((resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`waited in vain for ${what}`)), PATIENCE_MS)
  })
  return Promise.race([promise, end]).finally(() => clearTimeout(timer))
}

/** MQTT.js with what it has heard in `heard` and `connacks`. */
function client (url, protocolVersion, options) {
  const made = mqtt.connect(url, { protocolVersion, reconnectPeriod: 50, ...options })
  const waiting = new Set()
  const look = () => waiting.forEach(one => one())
  made.heard = []
  made.connacks = []
  made.on('message', (topic, payload, packet) => {
    made.heard.push({ topic, payload, qos: packet.qos, retain: packet.retain })
    look()
  })
  made.on('connect', packet => { made.connacks.push(packet); look() })
  made.on('error', error => { made.failure = error })
  made.until = (condition, what) => patiently(new Promise(resolve => {
    const one = () => {
      if (!condition()) return
      waiting.delete(one)
      resolve()
    }
    waiting.add(one)
    one()
  }), what)
  made.connects = count => made.until(() => made.connacks.length >= count, `CONNACK ${count}`)
  return made
}

function bytesOf (size) {
  const bytes = new Uint8Array(size)
  for (let i = 0; i < size; ++i) bytes[i] = i * 7 + (i >> 8)
  return bytes
}

async function everyQos (url, version, name) {
  const one = client(url, version, { clientId: name })
  await one.connects(1)
  const granted = await one.subscribeAsync(`${name}/#`, { qos: 2 })
  same(granted[0].qos, 2, 'granted')
  const payloads = { text: 'grüße ☃', nothing: '', large: bytesOf(200_000) }
  for (const qos of [0, 1, 2]) {
    for (const [what, payload] of Object.entries(payloads)) {
      one.heard = []
      await one.publishAsync(`${name}/${what}`, payload, { qos })
      await one.until(() => one.heard.length === 1, `${what} at QoS ${qos}`)
      const wanted = typeof payload === 'string' ? new TextEncoder().encode(payload) : payload
      same([one.heard[0].qos, one.heard[0].payload.length], [qos, wanted.length], what)
      check(wanted.every((byte, i) => byte === one.heard[0].payload[i]), `${what} is another`)
    }
  }
  // Many at once: several PUBLISH packets in one frame, and frames that end in the middle of one.
  one.heard = []
  const texts = Array.from({ length: 90 }, (_, i) => `${i}-${'x'.repeat(i * 37)}`)
  await Promise.all(texts.map(text => one.publishAsync(`${name}/many`, text, { qos: 1 })))
  await one.until(() => one.heard.length === texts.length, 'all of them')
  same(one.heard.map(message => message.payload.toString()), texts, 'in order')
  await one.endAsync()
}

async function retained (url, version, name) {
  const one = client(url, version, { clientId: `${name}-1` })
  await one.connects(1)
  await one.publishAsync(`${name}/kept`, 'kept', { qos: 1, retain: true })
  const two = client(url, version, { clientId: `${name}-2` })
  await two.connects(1)
  await two.subscribeAsync(`${name}/#`, { qos: 1 })
  await two.until(() => two.heard.length === 1, 'the retained message')
  await one.publishAsync(`${name}/kept`, 'live', { qos: 1, retain: true })
  await two.until(() => two.heard.length === 2, 'the live one')
  same(two.heard.map(message => [message.payload.toString(), message.retain]),
    [['kept', true], ['live', false]], 'heard')
  await Promise.all([one.endAsync(), two.endAsync()])
}

/** `relay` is the way to the door that the test cuts. */
async function comesBack (url, version, name, relay) {
  const durable = version === 5 ? { properties: { sessionExpiryInterval: 3600 } } : {}
  const one = client(relay.url, version, { clientId: name, clean: false, ...durable })
  await one.connects(1)
  same(one.connacks[0].sessionPresent, false, 'session present')
  await one.subscribeAsync(name, { qos: 2 })
  const other = client(url, version, { clientId: `${name}-other` })
  await other.connects(1)
  const texts = () => new Set(one.heard.map(message => message.payload.toString()))
  for (let round = 0; round < 3; ++round) {
    const gone = new Promise(resolve => one.once('close', resolve))
    await fetch(`/cut/${relay.name}`, { method: 'POST' })
    await patiently(gone, 'the end of the connection')
    await other.publishAsync(name, `missed ${round}`, { qos: 1 + round % 2 })
    const connections = one.connacks.length
    const own = one.publishAsync(name, `own ${round}`, { qos: 1 })  // waits for the connection
    await fetch(`/mend/${relay.name}`, { method: 'POST' })
    await one.connects(connections + 1)
    same(one.connacks.at(-1).sessionPresent, true, 'session present')
    await patiently(own, 'its own')
    await one.until(() => texts().has(`missed ${round}`) && texts().has(`own ${round}`),
      `both of round ${round}`)
  }
  const wanted = ['missed 0', 'missed 1', 'missed 2', 'own 0', 'own 1', 'own 2']
  same([...texts()].sort(), wanted, 'heard')
  // What has QoS 1 may come twice when its acknowledgement was cut off.
  same(one.heard.filter(message => message.qos === 2).length, 1, 'with QoS 2')
  await Promise.all([one.endAsync(), other.endAsync()])
}

/** How a bare WebSocket ends that says `words` once it is open. */
function bare (url, protocols, words) {
  return patiently(new Promise(resolve => {
    const socket = new WebSocket(url, protocols)
    const seen = { opened: false, protocol: '' }
    socket.onopen = () => {
      seen.opened = true
      seen.protocol = socket.protocol
      if (words === undefined) socket.close(1000)
      else socket.send(words)
    }
    socket.onclose = event => resolve({ ...seen, code: event.code, clean: event.wasClean })
  }), `the end of ${url}`)
}

async function farewells (url) {
  for (const protocol of ['mqtt', 'mqttv3.1']) {
    same(await bare(url, [protocol]), { opened: true, protocol, code: 1000, clean: true }, protocol)
  }
  const chosen = await bare(url, ['soap', 'mqtt'])
  same(chosen.protocol, 'mqtt', 'of two')
  same((await bare(url, ['soap'])).opened, false, 'another protocol')
  const text = await bare(url, ['mqtt'], 'text')
  same([text.opened, text.code], [true, 1003], 'a text frame')
}

async function report (name, error) {
  await fetch('/result', { method: 'POST', body: JSON.stringify({ name, error }) })
}

async function run (name, test) {
  try {
    await test()
    await report(name, null)
  } catch (error) {
    await report(name, `${error.stack}`)
  }
}

async function tests (doors) {
  for (const [scheme, url] of [['ws', doors.ws], ['wss', doors.wss], ['auto', doors.auto]]) {
    for (const version of VERSIONS) {
      const name = `${scheme}-v${version}`
      await run(`${name}: every QoS`, () => everyQos(url, version, `${name}-qos`))
      await run(`${name}: retained`, () => retained(url, version, `${name}-retained`))
      if (!doors.relays[scheme]) continue
      await run(`${name}: a connection that is cut`,
        () => comesBack(url, version, `${name}-cut`, doors.relays[scheme]))
    }
    await run(`${scheme}: protocols and farewells`, () => farewells(url))
  }
  await run('a certificate that is not trusted', async () => {
    same((await bare(doors.foreign, ['mqtt'])).opened, false, 'opened')
  })
  await run('our origin is allowed', async () => {
    for (const url of doors.guarded) same((await bare(url, ['mqtt'])).opened, true, url)
  })
}

async function strangersTests (doors) {
  await run('another origin is refused', async () => {
    for (const url of doors.guarded) same((await bare(url, ['mqtt'])).opened, false, url)
    same((await bare(doors.ws, ['mqtt'])).opened, true, 'where all are allowed')
  })
}

window.onload = async () => {
  const doors = await (await fetch('/doors')).json()
  if (location.hash === '#stranger') {
    await strangersTests(doors)
    parent.postMessage('done', '*')
    return
  }
  await tests(doors)
  const done = new Promise(resolve => { window.onmessage = resolve })
  const frame = document.createElement('iframe')
  frame.src = doors.stranger
  document.body.append(frame)
  await run('the other origin has its say', () => patiently(done, 'the other page'))
  await report('end', null)
}
