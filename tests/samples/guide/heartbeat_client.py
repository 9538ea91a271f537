import requests
import time
import threading
import signal
import sys

class HeartbeatClient:
    """心跳客户端 - 用于容器内服务向主控系统发送心跳"""
    
    def __init__(self, api_base_url, execution_id, container_name, heartbeat_interval=30):
        self.api_base_url = api_base_url.rstrip('/')
        self.execution_id = execution_id
        self.container_name = container_name
        self.heartbeat_interval = heartbeat_interval
        self.heartbeat_url = f"{self.api_base_url}/api/v1/monitoring/heartbeat"
        self.completion_url = f"{self.api_base_url}/api/v1/monitoring/completion"
        
        self.is_running = False
        self.heartbeat_thread = None
        self.task_status = "running"
        self.task_progress = {}
        
        # 设置信号处理器，优雅关闭
        signal.signal(signal.SIGTERM, self._signal_handler)
        signal.signal(signal.SIGINT, self._signal_handler)
    
    def start(self):
        """启动心跳服务"""
        if self.is_running:
            return
        
        self.is_running = True
        self.heartbeat_thread = threading.Thread(target=self._heartbeat_loop, daemon=True)
        self.heartbeat_thread.start()
        print(f"心跳客户端已启动，执行ID: {self.execution_id}")
    
    def stop(self):
        """停止心跳服务"""
        self.is_running = False
        if self.heartbeat_thread:
            self.heartbeat_thread.join(timeout=5)
        print("心跳客户端已停止")
    
    def update_status(self, status, progress=None):
        """更新任务状态"""
        self.task_status = status
        if progress:
            self.task_progress.update(progress)
    
    def send_completion(self, success, result_data=None, error_message=None):
        """发送任务完成通知"""
        completion_data = {
            "execution_id": self.execution_id,
            "container_name": self.container_name,
            "success": success,
            "result_data": result_data or {},
            "error_message": error_message
        }
        
        response = requests.post(
            self.completion_url,
            json=completion_data,
            timeout=10,
            headers={'Content-Type': 'application/json'}
        )
        
        if response.status_code == 200:
            print("任务完成通知发送成功")
        else:
            print(f"任务完成通知发送失败: {response.status_code}")


# The guide's listing ends here. What follows is what it leaves out.


def _heartbeat_loop(self):
    while self.is_running:
        try:
            requests.post(
                self.heartbeat_url,
                json={
                    "execution_id": self.execution_id,
                    "container_name": self.container_name,
                    "status": self.task_status,
                    "progress": self.task_progress,
                    "timestamp": int(time.time()),
                },
                timeout=10,
            )
        except requests.RequestException as error:
            print(f"heartbeat: {error}")
        time.sleep(1)


def _signal_handler(self, signum, frame):
    self.is_running = False
    sys.exit(128 + signum)


HeartbeatClient._heartbeat_loop = _heartbeat_loop
HeartbeatClient._signal_handler = _signal_handler
