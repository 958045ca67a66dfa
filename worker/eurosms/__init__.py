"""The client of EuroSMS: an SMS goes out, an answer comes back; statuses and credit are asked for.

It knows the wire (API version 3, and the balance of version 2), nothing of messages or the
database. What the answers mean is in `worker.core.eurosms_answers` and `sms_reports`.
"""

from worker.eurosms.balance import Balance
from worker.eurosms.client import MOST_SMS, EuroSms
from worker.eurosms.settings import BASE_URL, EuroSmsSettings, signature
from worker.eurosms.sms import Sms, flags_of

__all__ = [
    "BASE_URL",
    "MOST_SMS",
    "Balance",
    "EuroSms",
    "EuroSmsSettings",
    "Sms",
    "flags_of",
    "signature",
]
