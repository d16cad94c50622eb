"""An embedded PostgreSQL whose life is tied to the commands that use it.

Three kinds of process take part:

* a **client** is any command of the project. It holds one connection to the keeper's socket for as long as it
  lives; the kernel closes that connection however the client ends.
* the **keeper** is a small detached process. It holds the lock file for its whole life, runs the server as its
  child, and answers each client with one line of JSON: where the server is, or why there is none.
* the **server** is ``postgres``, with a unix socket in a 0700 folder and no TCP.

What is authoritative: the *lock* says who may touch the data folder; the *open connections* say whether anybody
needs the server; the *process table* (never a pid in a file) says whether a server runs on the data folder.

What happens when something dies:

* a client, in any way: its connection closes. Two seconds after the last one, the keeper stops the server and ends.
* the keeper, by SIGKILL: the kernel sends the server SIGINT, which is a fast shutdown (Linux; elsewhere the next
  keeper stops it). Clients see their connection closed and ask for a new keeper at their next database connection.
* the server: the keeper notices within half a second and ends; then as above.
* two clients start at once: both start a keeper, one gets the lock, both connect to that one.
* a keeper is on its way out: its socket refuses or drops the new client, which retries; the next keeper waits for
  the lock.
"""
