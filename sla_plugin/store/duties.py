"""What reaches across tenants: the whole list. Everything else works in the transaction of one tenant."""

from enum import StrEnum


class Duty(StrEnum):
    """Why a transaction sees every tenant. A test holds who may use which; most become one tenant's (`Transaction.narrow`) once they know whose."""

    DOOR = "find the connection behind a webhook's address"
    RECEIVE = "one commit stores the deliveries of all connections that wait for it"
    INBOX = "whose delivery waits longest"
    TIME = "whose transition is due first, and what lies in inbox and outbox"
    OUTBOX = "calls of all tenants share the senders, their leases and pauses"
    MAIL = "mails of all tenants share the sender, and its leases; whose mail settings were not proved for a day"
    CREDENTIALS = "whose credentials were not proved for a day"
    FEEDS = "whose calendar feed is due to be read again"
    RETENTION = "failed sign-ins that nobody waits for any more"
    SIGN_IN = "whose mail address, session or token this is"
    TENANTS = "which tenants there are, and making one"
    BACKUP = "a backup holds the rows of all tenants, and so does what is restored"
    CHECKING = "how the installation is: numbers over all tenants, and tests"


Scope = int | Duty  # a tenant's id, or why it is all of them
