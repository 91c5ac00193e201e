'use strict'
// MQTT.js, made to wait: every call resolves when the broker has answered, or fails after a while.

const mqtt = require('mqtt')
const { parser: newParser } = require('mqtt-packet')

const URL = `mqtt://127.0.0.1:${process.env.STENTOR_PORT}`
const PATIENCE_MS = 20_000
const V311 = { protocolVersion: 4 }
const V5 = { protocolVersion: 5 }

// Conditions that are waited for: looked at whenever any client hears anything.
let waiting = []

function look () {
  waiting = waiting.filter(check => !check())
}

class Client {
  /** `options` are MQTT.js's; it reconnects by itself, at once. */
  constructor (clientId, options) {
    this.messages = [] // packets
    this.received = [] // packets from the broker, as MQTT.js takes them: one after the other
    this.sent = []
    this.wire = [] // packets from the broker as they arrive, only after tap()
    this.ready = 0 // how often MQTT.js has connected and repeated what it had in flight
    this.mqtt = mqtt.connect(URL, {
      clientId,
      reconnectPeriod: 1,
      connectTimeout: PATIENCE_MS,
      ...options
    })
    this.mqtt.on('message', (topic, payload, packet) => {
      this.messages.push({ ...packet, topic, text: payload.toString() })
      look()
    })
    this.mqtt.on('packetreceive', packet => { this.received.push(packet); look() })
    this.mqtt.on('packetsend', packet => { this.sent.push(packet); look() })
    this.mqtt.on('connect', () => { ++this.ready; look() })
    this.mqtt.on('error', error => { this.error = error; look() })
    this.mqtt.on('close', look)
  }

  /** Listens at the socket from now on: MQTT.js reads no further while an answer is due. */
  tap () {
    const parser = newParser({ protocolVersion: this.mqtt.options.protocolVersion })
    parser.on('packet', packet => { this.wire.push(packet); look() })
    this.mqtt.stream.on('data', bytes => parser.parse(bytes))
  }

  /** Resolves once `condition()` holds. */
  until (condition, what) {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        reject(new Error(`${this.mqtt.options.clientId} waited in vain for ${what}; heard: ` +
          this.texts.slice(-20) + (this.error ? `; ${this.error}` : '')))
      }, PATIENCE_MS)
      waiting.push(() => {
        if (!condition()) return false
        clearTimeout(timer)
        resolve()
        return true
      })
      look()
    })
  }

  /** The first CONNACK, or the one of the number-th connection. */
  async connected (number = 1) {
    await this.until(() => this.packets('connack').length >= number, `CONNACK ${number}`)
    return this.packets('connack')[number - 1]
  }

  packets (cmd) { return this.received.filter(packet => packet.cmd === cmd) }
  get texts () { return this.messages.map(message => message.text) }

  async heard (count) {
    await this.until(() => this.messages.length >= count, `${count} messages`)
    return this.texts
  }

  subscribe (filter, options) { return this.mqtt.subscribeAsync(filter, options) }
  publish (topic, payload, options) { return this.mqtt.publishAsync(topic, payload, options) }

  /** From now on messages are acknowledged only by calling what is added to `withheld`. */
  withhold () {
    this.withheld = []
    this.mqtt.handleMessage = (_packet, done) => { this.withheld.push(done); look() }
  }

  /** Ends the connection in mid-sentence; resolves to the CONNACK of the next one. */
  cut () {
    const connections = this.packets('connack').length
    this.mqtt.stream.destroy()
    return this.connected(connections + 1)
  }

  /** With DISCONNECT, without another connection. */
  end () { return this.mqtt.endAsync() }

  /** Neither DISCONNECT nor another connection. */
  vanish () { return this.mqtt.endAsync(true) }
}

module.exports = { Client, V311, V5 }
