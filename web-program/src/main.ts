import './design/base.css'
import { mount } from 'svelte'
import { app } from './state/app.svelte'
import App from './view/App.svelte'

mount(App, { target: document.getElementById('app') as HTMLElement })
void app.start()
if ('serviceWorker' in navigator && import.meta.env.PROD) addEventListener('load', () => { navigator.serviceWorker.register('/worker.js').catch(() => undefined) })
