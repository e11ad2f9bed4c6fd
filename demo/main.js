/** Puts the page together. */
import { App } from './app.js';
import { registerOffline } from './offline.js';
import { mountConversation } from './panels/conversation.js';
import { mountDocuments } from './panels/documents.js';
import { mountFailure } from './panels/failure.js';
import { mountHeads } from './panels/heads.js';
import { mountJob } from './panels/job.js';
import { mountLitText } from './panels/lit-text.js';
import { mountMachine } from './panels/machine.js';
import { mountModel } from './panels/model.js';
import { mountRace } from './panels/race.js';
import { mountSettings } from './panels/settings.js';
import { mountSweep } from './panels/sweep.js';
import { mountTimes } from './panels/times.js';
import { followStage } from './stage.js';

const app = new App();
const panels = [
  mountFailure,
  mountJob,
  mountModel,
  mountDocuments,
  mountConversation,
  mountLitText,
  mountHeads,
  mountTimes,
  mountRace,
  mountSweep,
  mountSettings,
  mountMachine,
];
for (const mount of panels) mount(app);
followStage(app);
void registerOffline(app);
