# A node whose first user is RABBITMQ_DEFAULT_USER with RABBITMQ_DEFAULT_PASS.
set -eu
mkdir -p "$HOME" /etc/rabbitmq /var/log/rabbitmq
cat >/etc/rabbitmq/rabbitmq.conf <<CONF
default_user = $RABBITMQ_DEFAULT_USER
default_pass = $RABBITMQ_DEFAULT_PASS
loopback_users = none
disk_free_limit.absolute = 1MB
CONF
echo '[].' >/etc/rabbitmq/enabled_plugins
export RABBITMQ_LOGS=-
# Idle schedulers do not spin.
export RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS='+sbwt none +sbwtdcpu none +sbwtdio none'
exec rabbitmq-server
