import socketio
sio = socketio.Client()

@sio.event
def progress(data):
    """接收任务进度更新"""
    status = data['status']
    step = data['step']
    task = data['task']
    
    if status == 'running':
        print(f"任务 {task} 正在执行步骤 {step}")
    elif status == 'completed':
        print(f"任务 {task} 执行完成: {data['result']}")
    elif status == 'failed':
        print(f"任务 {task} 执行失败: {data['error']}")

# 连接到 WebSocket 服务器
sio.connect('http://localhost:8000')
